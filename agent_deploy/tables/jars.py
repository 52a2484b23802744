"""Delta Lake's jars for Spark, fetched once by their Maven coordinates into a folder of the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

INSTALL: Final = "pip install 'agent-deploy[local,spark]'"
DELTA_VERSION: Final = "4.4.0"
# All that delta-spark needs of what Spark does not bring along.
ARTIFACTS: Final = {
    "delta-spark_4.2_2.13": "io.delta",
    "delta-storage": "io.delta",
    "delta-kernel-api": "io.delta",
    "delta-kernel-defaults": "io.delta",
    "delta-kernel-unitycatalog": "io.delta",
}
# A folder that holds the jars already, for machines without a way to Maven's repository.
FOLDER_VARIABLE: Final = "AGENT_DEPLOY_SPARK_JARS"
_FETCH_SECONDS = 600.0
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>agent-deploy</groupId><artifactId>spark-jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{dependencies}</dependencies></project>
"""
_DEPENDENCY = """<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>
<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>
"""
_IVY_SETTINGS = """<ivysettings><settings defaultResolver="central"/>
<caches defaultCacheDir="{cache}"/>
<resolvers><ibiblio name="central" m2compatible="true"/></resolvers></ivysettings>
"""
_IVY = """<ivy-module version="2.0"><info organisation="agent-deploy" module="spark-jars"/>
<dependencies>{dependencies}</dependencies></ivy-module>
"""
_IVY_DEPENDENCY = '<dependency org="{group}" name="{name}" rev="{version}" transitive="false" conf="*->default"/>\n'


class JarsMissing(Exception):
    """The jars could not be fetched; the message has the reason and the way out."""


def delta_jars(java_home: Path) -> list[Path]:
    """Paths of the jars; the first call on a machine fetches them. Raises JarsMissing."""
    given = os.environ.get(FOLDER_VARIABLE)
    folder = Path(given) if given else _cache() / "spark-jars" / DELTA_VERSION
    jars = [folder / f"{name}-{DELTA_VERSION}.jar" for name in ARTIFACTS]
    if missing := [jar.name for jar in jars if not jar.is_file()]:
        if given:
            raise JarsMissing(f"{FOLDER_VARIABLE}={given} lacks {', '.join(missing)}.")
        _fetch(folder, java_home)
    return jars


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agent-deploy"


def _fetch(folder: Path, java_home: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Fetched aside and moved, jar by jar: a killed or a second fetch never leaves half a jar under its name.
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        command = _maven(Path(aside)) if shutil.which("mvn") else _ivy(Path(aside), java_home)
        try:
            subprocess.run(
                command,
                check=True,
                timeout=_FETCH_SECONDS,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, "JAVA_HOME": str(java_home)},
            )
        except subprocess.CalledProcessError as error:
            raise _missing("\n".join((error.stdout or "").splitlines()[-5:])) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _missing(str(error)) from error
        folder.mkdir(exist_ok=True)
        for name in ARTIFACTS:
            jar = Path(aside, f"{name}-{DELTA_VERSION}.jar")
            if not jar.is_file():
                raise _missing(f"{jar.name} did not come")
            jar.replace(folder / jar.name)


def _missing(reason: str) -> JarsMissing:
    coordinates = ", ".join(f"{group}:{name}:{DELTA_VERSION}" for name, group in ARTIFACTS.items())
    return JarsMissing(
        f"Delta Lake's jars for Spark could not be fetched: {reason}. Needed are {coordinates}: put them into a folder "
        f"and name it in {FOLDER_VARIABLE}, or install Maven and configure it for your repository."
    )


def _maven(folder: Path) -> list[str]:
    dependencies = [
        _DEPENDENCY.format(group=group, name=name, version=DELTA_VERSION) for name, group in ARTIFACTS.items()
    ]
    pom = folder / "pom.xml"
    pom.write_text(_POM.format(dependencies="".join(dependencies)), encoding="utf-8")
    return ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]


def _ivy(folder: Path, java_home: Path) -> list[str]:
    """Ivy comes with Spark; unlike Maven it knows nothing of a user's mirrors."""
    spark = find_spec("pyspark")
    if spark is None or spark.origin is None:
        raise JarsMissing(f"pyspark is not installed: {INSTALL}")
    settings, module = folder / "ivysettings.xml", folder / "ivy.xml"
    settings.write_text(_IVY_SETTINGS.format(cache=folder / "ivy"), encoding="utf-8")
    dependencies = [
        _IVY_DEPENDENCY.format(group=group, name=name, version=DELTA_VERSION) for name, group in ARTIFACTS.items()
    ]
    module.write_text(_IVY.format(dependencies="".join(dependencies)), encoding="utf-8")
    classes = str(Path(spark.origin).parent / "jars" / "*")
    command = [str(java_home / "bin" / "java"), "-cp", classes, "org.apache.ivy.Main", "-settings", str(settings)]
    return [*command, "-ivy", str(module), "-retrieve", str(folder / "[artifact]-[revision].[ext]"), "-types", "jar"]

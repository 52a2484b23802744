"""All services of one workspace, made in the order in which they need each other: who uses whom is read here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from agent_deploy.local.agents.register import Register
from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.lazy import Lazy
from agent_deploy.local.files import volumes
from agent_deploy.local.files.storage import Files
from agent_deploy.local.genie.conversations import Conversations
from agent_deploy.local.genie.spaces import Spaces
from agent_deploy.local.identity.resources import Resources
from agent_deploy.local.jobs.jobs import Jobs
from agent_deploy.local.jobs.runs import Runs
from agent_deploy.local.jobs.scheduler import Scheduler
from agent_deploy.local.jobs.tasks import Tasks
from agent_deploy.local.pages.pages import Pages
from agent_deploy.local.pages.sessions import Sessions
from agent_deploy.local.permissions.lists import Lists
from agent_deploy.local.pipelines.pipelines import Pipelines
from agent_deploy.local.pipelines.published import Published
from agent_deploy.local.pipelines.updates import Updates
from agent_deploy.local.registry import files as model_files
from agent_deploy.local.registry.models import Registry
from agent_deploy.local.secrets.scopes import Scopes
from agent_deploy.local.serving import deployment
from agent_deploy.local.serving.asking import EndpointEmbedder
from agent_deploy.local.serving.endpoints import Endpoints
from agent_deploy.local.sql.warehouses import Warehouses
from agent_deploy.local.statements.execution import Statements
from agent_deploy.local.tracking import artifacts
from agent_deploy.local.tracking.experiments import Experiments
from agent_deploy.local.tracking.server import MlflowServer
from agent_deploy.local.vector_search.embedding import Embedder
from agent_deploy.local.vector_search.endpoints import Endpoints as VectorSearchEndpoints
from agent_deploy.local.vector_search.indexes import Indexes
from agent_deploy.local.vector_search.queries import Queries
from agent_deploy.local.workspace_files.tree import Tree

if TYPE_CHECKING:
    from agent_deploy.local.statements.delta import DeltaTables
    from agent_deploy.local.statements.engine import Engine


@dataclass(frozen=True)
class Services:
    """One of each; `of` makes them, and has the workspace start and stop them."""

    workspace: Workspace
    identities: Resources
    scopes: Scopes
    registry: Registry
    prompts: Registry
    metastore: Metastore
    tree: Tree
    lists: Lists
    files: Files
    warehouses: Warehouses
    vector_search_endpoints: VectorSearchEndpoints
    indexes: Indexes
    queries: Queries
    statements: Statements
    spaces: Spaces
    conversations: Conversations
    endpoints: Endpoints
    pipelines: Pipelines
    updates: Updates
    jobs: Jobs
    runs: Runs
    scheduler: Scheduler
    mlflow: MlflowServer
    experiments: Experiments
    register: Register
    pages: Pages

    @classmethod
    def of(cls, workspace: Workspace) -> Services:
        """The services of a workspace; what every workspace has from its beginning is made, where it is missing."""
        scopes, registry, files = Scopes(workspace), Registry(workspace), Files(workspace)
        prompts = Registry(workspace, "prompt", "prompt_version")
        metastore, tree = Metastore(workspace, registry, prompts), Tree(workspace)
        _bootstrap(workspace, metastore, tree)
        warehouses = Warehouses(workspace)
        tables = Lazy(partial(_tables, metastore))
        vector_search_endpoints = VectorSearchEndpoints(workspace)
        # Later: it asks the serving endpoints, whose models may use all of these.
        embedder = Lazy[Embedder](lambda: EndpointEmbedder(endpoints))
        indexes = Indexes(workspace, metastore, tables, vector_search_endpoints, embedder)
        queries = Queries(indexes)
        engine = Lazy(partial(_engine, workspace, metastore, tables, queries))
        statements = Statements(workspace, warehouses, engine)
        conversations = Conversations(workspace, statements)
        endpoints = Endpoints(workspace, metastore, registry, scopes, conversations)
        pipelines, published = Pipelines(workspace, metastore), Published(workspace, metastore)
        updates = Updates(workspace, pipelines, published, tree, endpoints)
        jobs, runs = Jobs(workspace), Runs(workspace.store, Tasks(workspace, updates, statements, tree))
        mlflow = MlflowServer(workspace.folder)
        experiments = Experiments(workspace, mlflow)
        services = cls(
            workspace=workspace,
            identities=Resources(workspace),
            scopes=scopes,
            registry=registry,
            prompts=prompts,
            metastore=metastore,
            tree=tree,
            lists=Lists(workspace, tree),
            files=files,
            warehouses=warehouses,
            vector_search_endpoints=vector_search_endpoints,
            indexes=indexes,
            queries=queries,
            statements=statements,
            spaces=Spaces(workspace),
            conversations=conversations,
            endpoints=endpoints,
            pipelines=pipelines,
            updates=updates,
            jobs=jobs,
            runs=runs,
            scheduler=Scheduler(jobs, runs),
            mlflow=mlflow,
            experiments=experiments,
            register=Register(workspace, endpoints),
            pages=Pages.of(workspace, metastore, endpoints, experiments, Sessions(workspace)),
        )
        services._mount()
        services._run_with_the_server()
        return services

    def _mount(self) -> None:
        """Where the paths of the Files API lead."""
        access = self.workspace.authorization
        self.files.mount("Volumes", volumes.mount(self.metastore, access))
        self.files.mount("Models", model_files.mount(self.registry, access))
        self.files.mount("WorkspaceInternal", artifacts.mount(self.workspace, self.experiments))

    def _run_with_the_server(self) -> None:
        self.workspace.on_start += [
            self.warehouses.recover,
            self.statements.recover,
            self.vector_search_endpoints.recover,
            self.indexes.recover,
            self.conversations.recover,
            self.updates.recover,
            self.runs.recover,
            self.scheduler.start,
            partial(deployment.start, self.endpoints),
        ]
        self.workspace.on_stop += [
            self.statements.close,
            self.updates.close,
            self.runs.close,
            self.scheduler.stop,
            self.endpoints.stop,
            self.mlflow.stop,
        ]


def _bootstrap(workspace: Workspace, metastore: Metastore, tree: Tree) -> None:
    metastore.bootstrap()
    if admin_id := workspace.principals.admin_id():
        tree.bootstrap(workspace.principals.principal(admin_id))


def _tables(metastore: Metastore) -> DeltaTables:
    # Here, not at the top: Arrow takes a moment to load.
    from agent_deploy.local.statements.delta import DeltaTables

    return DeltaTables(metastore)


def _engine(workspace: Workspace, metastore: Metastore, tables: Lazy[DeltaTables], queries: Queries) -> Engine:
    # Here, not at the top: the SQL parser takes a moment to load.
    from agent_deploy.local.statements.engine import Engine

    return Engine(workspace, metastore, tables(), queries)

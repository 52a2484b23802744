// Generates the SDKs for other languages, and programs out of a YAML program, with Pulumi's own code generators.
//
// `pulumi package add` and `pulumi convert` do the same by language hosts, of which only Python's and YAML's can be
// built from registries; on a machine without Pulumi's release these generators are what there is.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/blang/semver"
	yamlgen "github.com/pulumi/pulumi-yaml/pkg/pulumiyaml/codegen"
	gogen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/pcl"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

const usage = `usage: sdk packages SCHEMA FOLDER          writes FOLDER/nodejs, FOLDER/go and FOLDER/python
       sdk programs SCHEMA YAML FOLDER    the same of the program in the folder YAML`

type files = map[string][]byte

var packages = map[string]func(*schema.Package, *loader) (files, error){
	// As `pulumi package add` calls them: an SDK for local use, complete in its folder.
	"nodejs": func(pkg *schema.Package, l *loader) (files, error) {
		return nodejs.GeneratePackage("pulumi", pkg, nil, nil, true, l)
	},
	"go": func(pkg *schema.Package, _ *loader) (files, error) { return gogen.GeneratePackage("pulumi", pkg, nil) },
	"python": func(pkg *schema.Package, l *loader) (files, error) {
		return python.GeneratePackage("pulumi", pkg, nil, l)
	},
}

func main() {
	var err error
	switch arguments := os.Args[1:]; {
	case len(arguments) == 3 && arguments[0] == "packages":
		err = writePackages(arguments[1], arguments[2])
	case len(arguments) == 4 && arguments[0] == "programs":
		err = writePrograms(arguments[1], arguments[2], arguments[3])
	default:
		err = fmt.Errorf("%s", usage)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writePackages(file, folder string) error {
	for language, generate := range packages {
		// Each generator notes what it reads of the schema in the package.
		l, err := load(file)
		if err != nil {
			return err
		}
		generated, err := generate(l.pkg, l)
		if err != nil {
			return fmt.Errorf("%s: %w", language, err)
		}
		if err := write(filepath.Join(folder, language), generated); err != nil {
			return err
		}
	}
	return nil
}

func writePrograms(file, yaml, folder string) error {
	programs := map[string]func(*pcl.Program) (files, error){
		"nodejs": func(p *pcl.Program) (files, error) { return generated(nodejs.GenerateProgram(p)) },
		"go":     func(p *pcl.Program) (files, error) { return generated(gogen.GenerateProgram(p)) },
		"python": func(p *pcl.Program) (files, error) { return generated(python.GenerateProgram(p)) },
	}
	for language, generate := range programs {
		l, err := load(file)
		if err != nil {
			return err
		}
		_, program, err := yamlgen.Eject(yaml, l)
		if err != nil {
			return fmt.Errorf("%s: %w", yaml, err)
		}
		content, err := generate(program)
		if err == nil && language == "go" {
			content, err = withPlainFields(content, l.pkg)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", language, err)
		}
		if err := write(filepath.Join(folder, language), content); err != nil {
			return err
		}
	}
	return nil
}

func generated[D interface {
	HasErrors() bool
	Error() string
}](content files, diagnostics D, err error) (files, error) {
	if err == nil && diagnostics.HasErrors() {
		err = fmt.Errorf("%s", diagnostics.Error())
	}
	return content, err
}

// write puts the files into the folder, where nothing else is left.
func write(folder string, content files) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	for name, text := range content {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// A loader that knows our package and Pulumi's own, and starts no plugin.
type loader struct{ pkg *schema.Package }

func load(file string) (*loader, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(content, &spec); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	l := &loader{}
	pkg, diagnostics, err := schema.BindSpec(spec, l, schema.ValidationOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if diagnostics.HasErrors() {
		return nil, fmt.Errorf("%s: %w", file, diagnostics)
	}
	// As `pulumi package add` has it: Go's SDK is a module of its own.
	pkg.SupportPack = true
	l.pkg = pkg
	return l, nil
}

func (l *loader) LoadPackageV2(_ context.Context, wanted *schema.PackageDescriptor) (*schema.Package, error) {
	switch wanted.PackageName() {
	case "pulumi":
		return schema.DefaultPulumiPackage, nil
	case l.pkg.Name:
		return l.pkg, nil
	}
	return nil, fmt.Errorf("the program needs the package %s; only %s is known here", wanted.PackageName(), l.pkg.Name)
}

func (l *loader) LoadPackage(name string, version *semver.Version) (*schema.Package, error) {
	return l.LoadPackageV2(context.Background(), &schema.PackageDescriptor{Name: name, Version: version})
}

func (l *loader) LoadPackageReferenceV2(
	ctx context.Context, wanted *schema.PackageDescriptor,
) (schema.PackageReference, error) {
	pkg, err := l.LoadPackageV2(ctx, wanted)
	if err != nil {
		return nil, err
	}
	return pkg.Reference(), nil
}

func (l *loader) LoadPackageReference(name string, version *semver.Version) (schema.PackageReference, error) {
	return l.LoadPackageReferenceV2(context.Background(), &schema.PackageDescriptor{Name: name, Version: version})
}

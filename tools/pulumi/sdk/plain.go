package main

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"strings"

	gogen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

// Type of a plain, optional field → what makes a pointer of a constant.
var pointers = map[string]string{"*bool": "BoolRef", "*int": "IntRef", "*string": "StringRef"}

// withPlainFields mends what Pulumi's generator writes for plain arguments: in the SDK, which it generates as well,
// the optional ones are pointers and maps hold inputs; in programs it writes values and maps of strings.
func withPlainFields(program files, pkg *schema.Package) (files, error) {
	sdk, err := gogen.GeneratePackage("pulumi", pkg, nil)
	if err != nil {
		return nil, err
	}
	structs := map[string]map[string]string{}
	for name, content := range sdk {
		if path.Ext(name) != ".go" {
			continue
		}
		if err := readStructs(content, structs); err != nil {
			return nil, err
		}
	}
	mended := files{}
	for name, content := range program {
		if path.Ext(name) == ".go" {
			if content, err = mend(content, structs); err != nil {
				return nil, err
			}
		}
		mended[name] = content
	}
	return mended, nil
}

// readStructs notes each struct's fields and their types, as they are written.
func readStructs(content []byte, structs map[string]map[string]string) error {
	file, err := parser.ParseFile(token.NewFileSet(), "", content, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(node ast.Node) bool {
		declared, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if shape, ok := declared.Type.(*ast.StructType); ok {
			fields := map[string]string{}
			for _, field := range shape.Fields.List {
				for _, name := range field.Names {
					fields[name.Name] = written(field.Type)
				}
			}
			structs[declared.Name.Name] = fields
		}
		return false
	})
	return nil
}

func mend(content []byte, structs map[string]map[string]string) ([]byte, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", content, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	mendLiterals(file, structs)
	var out bytes.Buffer
	err = format.Node(&out, set, file)
	return out.Bytes(), err
}

func mendLiterals(root ast.Node, structs map[string]map[string]string) {
	ast.Inspect(root, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok {
			return true
		}
		fields := structs[structName(literal.Type)]
		if list, ok := literal.Type.(*ast.ArrayType); ok {
			// []T{{…}, {…}}: the elements do not say their type again.
			for _, element := range literal.Elts {
				if inner, ok := element.(*ast.CompositeLit); ok && inner.Type == nil {
					mendFields(inner, structs[structName(list.Elt)])
				}
			}
		}
		mendFields(literal, fields)
		return true
	})
}

func mendFields(literal *ast.CompositeLit, fields map[string]string) {
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, ok := pair.Key.(*ast.Ident)
		if !ok {
			continue
		}
		wanted := fields[key.Name]
		inner, composite := pair.Value.(*ast.CompositeLit)
		switch {
		case pointers[wanted] != "":
			pair.Value = &ast.CallExpr{
				Fun:  &ast.SelectorExpr{X: ast.NewIdent("pulumi"), Sel: ast.NewIdent(pointers[wanted])},
				Args: []ast.Expr{pair.Value},
			}
		case composite && strings.HasPrefix(wanted, "*"):
			pair.Value = &ast.UnaryExpr{Op: token.AND, X: inner}
		case composite && strings.HasPrefix(wanted, "map[string]pulumi."):
			if held, ok := inner.Type.(*ast.MapType); ok {
				held.Value = ast.NewIdent(strings.TrimPrefix(wanted, "map[string]"))
			}
		}
	}
}

// structName is T of agentdeploy.T.
func structName(expression ast.Expr) string {
	if selected, ok := expression.(*ast.SelectorExpr); ok {
		return selected.Sel.Name
	}
	return ""
}

func written(expression ast.Expr) string {
	var out bytes.Buffer
	if err := format.Node(&out, token.NewFileSet(), expression); err != nil {
		return ""
	}
	return out.String()
}

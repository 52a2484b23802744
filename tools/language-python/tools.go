//go:build tools

// Package tools names the commands that this module builds, so that go.mod keeps them.
package tools

import _ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"

// One command of the engine on the example as an inline program: the engine connects to this process for it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command, stackName, projectName, folder string) error {
	ctx := context.Background()
	stack, err := auto.SelectStackInlineSource(ctx, stackName, projectName, program, auto.WorkDir(folder))
	if err != nil {
		return err
	}
	if command == "destroy" {
		_, err := stack.Destroy(ctx, optdestroy.ProgressStreams(os.Stderr))
		return err
	}
	done, err := stack.Up(ctx, optup.ProgressStreams(os.Stderr))
	if err != nil {
		return err
	}
	outputs := map[string]any{}
	for name, each := range done.Outputs {
		outputs[name] = each.Value
	}
	return json.NewEncoder(os.Stdout).Encode(outputs)
}

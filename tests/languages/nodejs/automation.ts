// One command of the engine on the example as an inline program: the engine connects to this process for it.
import { LocalWorkspace } from "@pulumi/pulumi/automation";

async function main(command: string, stackName: string, projectName: string, workDir: string): Promise<void> {
    // The program runs when it is loaded; what it exports are the stack's outputs.
    const program = async () => require("./index");
    const stack = await LocalWorkspace.selectStack({ stackName, projectName, program }, { workDir });
    const onOutput = (text: string) => process.stderr.write(text);
    if (command === "destroy") {
        await stack.destroy({ onOutput });
        return;
    }
    const done = await stack.up({ onOutput });
    console.log(JSON.stringify(Object.fromEntries(Object.entries(done.outputs).map(([name, each]) => [name, each.value]))));
}

const [command, stackName, projectName, workDir] = process.argv.slice(2);
main(command, stackName, projectName, workDir).catch((error) => {
    console.error(error);
    process.exit(1);
});

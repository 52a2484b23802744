"""Pure decisions: no I/O, no Pulumi, nothing of ours imported."""

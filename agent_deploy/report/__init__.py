"""What a preview changes for an agent, as one plain structure that is printed as Markdown, text or JSON."""

"""A new project: what is asked, its files by the templates that `pulumi new` takes too, how it is written."""

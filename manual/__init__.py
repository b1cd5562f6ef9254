"""The manual: what `make docs` generates for the site of mkdocs.yml, and the drawings of docs/concepts.

options, environments: texts of the reference, from the declarations in the code and in conf/. claims: the papers' claims with the
published runs' verdicts. links: links of the pages that lead out of docs/. hooks: what MkDocs calls. svg, figures: the drawings.
"""

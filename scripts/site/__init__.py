"""How the site of docs/ is made, beyond what mkdocs does (mkdocs.yml)."""

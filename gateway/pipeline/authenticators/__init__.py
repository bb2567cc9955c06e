"""How a caller can show who it is, a file each. Each kind gives names of its own, so that no caller can be called like another:
`name` for static tokens, `issuer:subject` for JSON web tokens, `mtls:identity` for client certificates."""

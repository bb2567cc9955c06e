"""The domain: what each RPC does to the assignments of a policy. It knows Graph's rows and routes, no wire and no caller."""

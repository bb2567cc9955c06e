"""The steps that every call passes, one module each. bootstrap.steps defines their order: audit is outermost, so that it
records refusals too.

A step gets the call and the next handler. It refuses by raising GatewayError, or awaits the next handler, with more in the
call."""

"""The doors: wire <-> Call, and nothing else. A door makes a Call of a request, passes it to the pipeline, and writes the
answer or the error to the wire. The pipeline, not the door, authenticates and decides; a body is decoded only when the pipeline
asks for it."""

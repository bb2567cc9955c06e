"""Wire <-> Call, nothing else: a door decodes, hands the call in, and puts the answer or the error on its wire."""

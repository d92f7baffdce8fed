# A million auction events through a plugin, on the embedded broker; `make demo INPUT=events.jsonl` takes your own, a JSON object a line.

.PHONY: demo
demo: build plugins
	$(CARGO) build --release -p auction-events
	@examples/auctions/demo $(INPUT)

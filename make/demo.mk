# A million auction events through a plugin, on the embedded broker; `make demo INPUT=events.jsonl` takes your own, a
# JSON object a line. It builds the one plugin that it shows, not those of the tests.

DEMO_PLUGIN := $(if $(INPUT),pass-through,example-auctions)

.PHONY: demo
demo: build guest-target
	$(GUEST_BUILD) -p $(DEMO_PLUGIN)
	@mkdir -p target/plugins
	$(call wrap,$(DEMO_PLUGIN),target/plugins/$(DEMO_PLUGIN:example-%=%).wasm)
	@examples/auctions/demo $(INPUT)

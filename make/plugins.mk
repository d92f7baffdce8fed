# Plugins, examples' plugins and the tests' guests: each crate becomes a core module, and that a component without any
# WASI import.
#
# plugins/NAME is package NAME and becomes target/plugins/NAME.wasm; tests/guests/NAME is package guest-NAME and becomes
# target/guests/NAME.wasm; examples/NAME is package example-NAME and, when it is a cdylib, becomes
# target/plugins/NAME.wasm. Some are built a second time for the other world of the interface, into
# target/record-plugins/NAME.wasm.

GUEST_TARGET := wasm32-unknown-unknown
GUEST_CORES := target/$(GUEST_TARGET)/guest
GUEST_BUILD := $(CARGO) build --profile guest --target $(GUEST_TARGET)

PLUGIN_NAMES := $(patsubst plugins/%/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml))
GUEST_NAMES := $(patsubst tests/guests/%/Cargo.toml,%,$(wildcard tests/guests/*/Cargo.toml))
EXAMPLE_NAMES := $(patsubst examples/%/Cargo.toml,%,$(shell grep -ls cdylib examples/*/Cargo.toml))
GUEST_PACKAGES := $(PLUGIN_NAMES) $(addprefix guest-,$(GUEST_NAMES)) $(addprefix example-,$(EXAMPLE_NAMES))

# Those that the tests run in world `record-processor` as well, all written with the SDK; jq takes a minute to build and
# keeps nothing.
RECORD_GUESTS := every hostile keeps refuses remembers retries timed traps
RECORD_PACKAGES := $(filter-out jq,$(PLUGIN_NAMES)) $(addprefix guest-,$(RECORD_GUESTS))
RECORD_CORES := target/record-plugins/build/$(GUEST_TARGET)/guest

# $(call wrap,PACKAGE,COMPONENT): cargo spells a library's file with underscores.
wrap = @target/release/sandbar build $(GUEST_CORES)/$(subst -,_,$(1)).wasm --to $(2)

# Those that the tests also need with the line tables of their sources, as NAME-with-lines.wasm.
LINED_GUESTS := traps
LINED_CORES := target/$(GUEST_TARGET)/lined-guest

.PHONY: plugins components guest-target
plugins: build components

# With the program that stands in target/release, whichever build made it.
components: guest-target
	$(GUEST_BUILD) $(addprefix -p ,$(GUEST_PACKAGES))
	@mkdir -p target/plugins target/guests
	$(foreach name,$(PLUGIN_NAMES),$(call wrap,$(name),target/plugins/$(name).wasm)$(newline))
	$(foreach name,$(EXAMPLE_NAMES),$(call wrap,example-$(name),target/plugins/$(name).wasm)$(newline))
	$(foreach name,$(GUEST_NAMES),$(call wrap,guest-$(name),target/guests/$(name).wasm)$(newline))
	$(GUEST_BUILD) --target-dir target/record-plugins/build $(addprefix -p ,$(RECORD_PACKAGES)) \
	  --features sandbar-sdk/record-processor
	$(foreach name,$(RECORD_PACKAGES),@target/release/sandbar build $(RECORD_CORES)/$(subst -,_,$(name)).wasm \
	  --to target/record-plugins/$(name:guest-%=%).wasm$(newline))
	$(CARGO) build --profile lined-guest --target $(GUEST_TARGET) $(addprefix -p guest-,$(LINED_GUESTS))
	$(foreach name,$(LINED_GUESTS),@target/release/sandbar build $(LINED_CORES)/guest_$(subst -,_,$(name)).wasm \
	  --to target/guests/$(name)-with-lines.wasm$(newline))

guest-target:
	@rustup target list --installed | grep -qx $(GUEST_TARGET) || { \
	  echo "installing Rust's target $(GUEST_TARGET) for the plugins (rustup target add)"; \
	  rustup target add $(GUEST_TARGET); }

define newline


endef

# The plugin of tests/languages in each language; a tool chain that is missing is named, and the others go on.
.PHONY: languages test-languages
LANGUAGES := $(patsubst tests/languages/%/build.sh,%,$(wildcard tests/languages/*/build.sh))
languages: build components language-tools
	@mkdir -p target/languages
	@code=0; for name in $(LANGUAGES); do \
	  echo "$$name"; tests/languages/$$name/build.sh $(CURDIR)/target/languages/$$name.wasm || code=1; \
	done; exit $$code

test-languages: languages
	@tests/languages/native
	@$(MAKE) --no-print-directory one TEST=the_same_comes_of

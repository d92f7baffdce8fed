//go:build wasip1

// Package export_wit_world is what the generated exports call. Package sandbar puts the plugin here.
package export_wit_world

import (
	"sandbar/internal/bindings/imports/sandbar_plugin_types"
	"sandbar/internal/bindings/imports/wit_world"
	witTypes "sandbar/internal/wit/types"
)

// The plugin's part of the world; see its WIT.
var (
	Describe func() sandbar_plugin_types.Description
	Open     func(config string) witTypes.Result[witTypes.Unit, string]
	Process  func(event wit_world.Event) witTypes.Result[wit_world.Verdict, sandbar_plugin_types.Failure]
	Fire     func(timer uint8, key []uint8, at int64) witTypes.Result[witTypes.Unit, sandbar_plugin_types.Failure]
)

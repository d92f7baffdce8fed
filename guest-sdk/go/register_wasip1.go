package sandbar

import (
	"fmt"
	"os"
	"runtime/debug"

	"sandbar/internal/bindings/exports/export_wit_world"
	_ "sandbar/internal/bindings/exports/wit_exports" // the exports themselves
	"sandbar/internal/bindings/imports/sandbar_plugin_types"
	"sandbar/internal/bindings/imports/wit_world"
	witTypes "sandbar/internal/wit/types"
)

func register(plugin Processor) {
	exported := exported{Bind(plugin, wasm{})}
	export_wit_world.Describe = exported.describe
	export_wit_world.Open = exported.open
	export_wit_world.Process = exported.process
	export_wit_world.Fire = exported.fire
}

// crash ends the program after a panic of the author's code. Its message comes last: that is what the host says of it.
func crash(value any) {
	fmt.Fprintf(os.Stderr, "%s\npanic: %v\n", debug.Stack(), value)
	os.Exit(2)
}

// exported is an instance as the bindings want it.
type exported struct{ *Instance }

func (e exported) describe() sandbar_plugin_types.Description {
	said := e.Description()
	description := sandbar_plugin_types.Description{
		Name:         said.Name,
		Version:      said.Version,
		Inputs:       said.Inputs,
		Outputs:      said.Outputs,
		ConfigSchema: said.Schema,
		Needs: one(said.Coordinates)*sandbar_plugin_types.Needs_Coordinates |
			one(said.Headers)*sandbar_plugin_types.Needs_Headers |
			one(said.KeepsKey)*sandbar_plugin_types.Needs_KeepsKey,
	}
	for _, store := range said.Stores {
		description.Stores = append(description.Stores, sandbar_plugin_types.Store{
			Name:          store.Name,
			Kind:          sandbar_plugin_types.StoreKind(store.Kind),
			Codec:         "json",
			SchemaVersion: store.Version,
			ReadableFrom:  store.ReadableFrom,
		})
	}
	for _, timer := range said.Timers {
		description.Timers = append(description.Timers, sandbar_plugin_types.Timer{
			Name:  timer.Name,
			Clock: one(timer.OnClock) * sandbar_plugin_types.TimerClock_ProcessingTime,
		})
	}
	for _, metric := range said.Metrics {
		description.Metrics = append(description.Metrics, sandbar_plugin_types.Metric{
			Name: metric.Name,
			Kind: one(metric.IsGauge) * sandbar_plugin_types.MetricKind_Gauge,
			Help: metric.Help,
		})
	}
	return description
}

// one is 1 if it is so, and 0 if not.
func one(is bool) uint8 {
	if is {
		return 1
	}
	return 0
}

func (e exported) open(config string) witTypes.Result[witTypes.Unit, string] {
	if err := e.Open(config); err != nil {
		return witTypes.Err[witTypes.Unit](err.Error())
	}
	return witTypes.Ok[witTypes.Unit, string](witTypes.Unit{})
}

func (e exported) process(came wit_world.Event) witTypes.Result[wit_world.Verdict, sandbar_plugin_types.Failure] {
	event := Event{
		Key:       taken(came.Key),
		Value:     taken(came.Value),
		Timestamp: came.Timestamp,
		Headers:   make([]Header, len(came.Headers)),
		Partition: came.Partition,
		Offset:    came.Offset,
	}
	for i, header := range came.Headers {
		event.Headers[i] = Header{header.Name, taken(header.Value)}
	}
	refusal := e.Process(&event, came.Input)
	collect()
	verdict := wit_world.MakeVerdictDone()
	if refusal != nil {
		if refusal.How == HowRetry {
			return witTypes.Err[wit_world.Verdict](sandbar_plugin_types.MakeFailureRetry(refusal.Reason))
		}
		how := map[How]sandbar_plugin_types.Refusal{
			HowSkip:       sandbar_plugin_types.Refusal_Skip,
			HowDeadLetter: sandbar_plugin_types.Refusal_DeadLetter,
			HowFail:       sandbar_plugin_types.Refusal_Fail,
		}[refusal.How]
		refused := witTypes.Tuple2[sandbar_plugin_types.Refusal, string]{F0: how, F1: refusal.Reason}
		verdict = wit_world.MakeVerdictRefuse(refused)
	}
	return witTypes.Ok[wit_world.Verdict, sandbar_plugin_types.Failure](verdict)
}

func (e exported) fire(timer uint8, key []byte, at int64) witTypes.Result[witTypes.Unit, sandbar_plugin_types.Failure] {
	refusal := e.Fire(timer, present(key), at)
	collect()
	switch {
	case refusal == nil:
		return witTypes.Ok[witTypes.Unit, sandbar_plugin_types.Failure](witTypes.Unit{})
	case refusal.How == HowRetry:
		return witTypes.Err[witTypes.Unit](sandbar_plugin_types.MakeFailureRetry(refusal.Reason))
	default:
		return witTypes.Err[witTypes.Unit](sandbar_plugin_types.MakeFailureFail(refusal.Reason))
	}
}

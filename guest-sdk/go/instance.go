package sandbar

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// Instance is a plugin in a host. An author has no use for it; package sandbartest has.
type Instance struct {
	plugin      Processor
	host        Host
	description Description
	timers      []*timer
}

// part is a field of a plugin that declares something.
type part interface {
	declare(instance *Instance, name string, tag reflect.StructTag) error
}

// Bind puts a plugin into a host. It panics if the plugin declares what cannot be.
func Bind(plugin Processor, host Host) *Instance {
	pointer := reflect.ValueOf(plugin)
	if pointer.Kind() != reflect.Pointer || pointer.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("sandbar: a plugin is a pointer to a struct, and %T is none", plugin))
	}
	value := pointer.Elem()
	instance := &Instance{plugin: plugin, host: host, description: describe(value.Type())}
	for i := range value.NumField() {
		field := value.Type().Field(i)
		// A field of lower case counts too; reflection alone would not let it be written.
		at := reflect.NewAt(field.Type, unsafe.Pointer(value.Field(i).UnsafeAddr()))
		if part, is := at.Interface().(part); is {
			name := kebab(field.Name)
			if said := field.Tag.Get("sandbar"); said != "" {
				name = said
			}
			if err := part.declare(instance, name, field.Tag); err != nil {
				panic(fmt.Sprintf("sandbar: field %s of %T: %v", field.Name, plugin, err))
			}
		}
	}
	instance.description.Schema = schema(value.Type())
	if describer, is := plugin.(Describer); is {
		describer.Describe(&instance.description)
	}
	return instance
}

// schema is the JSON schema of a plugin's configuration, which names the fields that have to be there. It is empty for
// a plugin without fields to configure.
func schema(plugin reflect.Type) string {
	takesOne, required := false, []string{}
	for _, field := range reflect.VisibleFields(plugin) {
		_, isPart := reflect.New(field.Type).Interface().(part)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if isPart || !field.IsExported() || name == "-" {
			continue
		}
		takesOne = true
		if field.Tag.Get("required") == "true" {
			required = append(required, cmp.Or(name, field.Name))
		}
	}
	switch {
	case !takesOne:
		return ""
	case len(required) == 0:
		return "{}"
	}
	return string(marshal(map[string]any{"type": "object", "required": required}))
}

// Description is what the plugin is.
func (i *Instance) Description() Description {
	return i.description
}

// Open reads the configuration, a text in JSON, into the plugin's fields. An empty text is an empty configuration.
func (i *Instance) Open(config string) error {
	if strings.TrimSpace(config) == "" {
		config = "{}"
	}
	decoder := json.NewDecoder(strings.NewReader(config))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(i.plugin); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("there is something behind the configuration")
	}
	if opener, is := i.plugin.(Opener); is {
		if err := opener.Open(); err != nil {
			return err
		}
	}
	for index, timer := range i.timers {
		if timer.callback == nil {
			name := i.description.Timers[index].Name
			return fmt.Errorf("nothing is to happen when timer %q fires: call OnFire, or Open of a Windowed, in Open", name)
		}
	}
	return nil
}

// Process hands a record to the plugin; input is the index of the record's input. It returns nil if the record was
// not refused.
func (i *Instance) Process(event *Event, input uint8) *Refusal {
	if int(input) < len(i.description.Inputs) {
		event.Input = i.description.Inputs[input]
	}
	return call(func() error {
		return i.plugin.Process(event, &Out{instance: i, timestamp: event.Timestamp})
	})
}

// Fire lets a timer fire. It returns nil, or a refusal that is [HowRetry] or [HowFail]: there is no record to refuse.
func (i *Instance) Fire(timer uint8, key []byte, at int64) *Refusal {
	refusal := call(func() error {
		return i.timers[timer].callback(&Fired{Key: key, At: at}, &Out{instance: i, timestamp: at})
	})
	if refusal != nil && refusal.How != HowRetry {
		return &Refusal{HowFail, refusal.Reason}
	}
	return refusal
}

// call runs the author's code until it ends, or until the SDK ends it by panicking with a refusal.
func call(body func() error) (refusal *Refusal) {
	defer func() {
		switch stopped := recover().(type) {
		case nil:
		case *Refusal:
			refusal = stopped
		default:
			crash(stopped)
		}
	}()
	return refused(body())
}

// output is the index of an output.
func (i *Instance) output(name string) uint8 {
	index := slices.Index(i.description.Outputs, name)
	if index < 0 {
		panic(&Refusal{HowDeadLetter, fmt.Sprintf("there is no output %q", name)})
	}
	return uint8(index)
}

// number reads a tag that is a whole number from 1; if there is none, it is 1.
func number(tag reflect.StructTag, name string) (uint32, error) {
	text, is := tag.Lookup(name)
	if !is {
		return 1, nil
	}
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil || number == 0 {
		return 0, fmt.Errorf("%s is %q, and has to be a number from 1", name, text)
	}
	return uint32(number), nil
}

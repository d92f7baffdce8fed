package main

import (
	"fmt"

	"sandbar"
)

func (e *Every) openWindows() error {
	e.sessions.OnMerge(func(earlier, later int) int { return earlier + later })
	if err := e.sessions.Open(sandbar.Session(sandbar.Second), sandbar.Count, putSession); err != nil {
		return err
	}
	return e.windows.Open(sandbar.Tumbling(sandbar.Second).AllowedLateness(500), sandbar.Count, putWindow)
}

func toWindows(e *Every, event *sandbar.Event, out *sandbar.Out) error {
	if !e.windows.Add(event) {
		out.Emit(event.Key, "late")
	}
	return nil
}

func toSessions(e *Every, event *sandbar.Event, out *sandbar.Out) error {
	if !e.sessions.Add(event) {
		out.Emit(event.Key, "late")
	}
	return nil
}

func putWindow(window *sandbar.Window[int], out *sandbar.Out) error {
	out.Emit(window.Key, fmt.Sprintf("%d %d", window.Start, window.Value))
	return nil
}

func putSession(window *sandbar.Window[int], out *sandbar.Out) error {
	out.Emit(window.Key, fmt.Sprintf("%d %d %d", window.Start, window.End, window.Value))
	return nil
}

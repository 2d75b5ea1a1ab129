package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// errCancelled is what a waiting operation ends with when the engine cancels it.
var errCancelled = errors.New("cancelled while it waited")

// How often a waiting operation looks whether it may go on.
const waitStep = 5 * time.Millisecond

// world is the folder of all things.
type world struct{ dir string }

// thing is the properties of one resource, as JSON values.
type thing map[string]any

// create makes a new thing and returns its id, which no other thing has or had.
func (w world) create(name string, properties thing) (string, error) {
	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	id := name + "-" + hex.EncodeToString(random)
	return id, w.write(id, properties)
}

// write gives a thing new properties. The file is whole at every moment, also when this process is killed.
func (w world) write(id string, properties thing) error {
	text, err := json.MarshalIndent(properties, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(w.path(id)), 0o755); err != nil {
		return err
	}
	draft := filepath.Join(w.dir, id+".draft")
	if err := os.WriteFile(draft, text, 0o644); err != nil {
		return err
	}
	return os.Rename(draft, w.path(id))
}

// read returns the properties of a thing, or nil where there is none.
func (w world) read(id string) (thing, error) {
	text, err := os.ReadFile(w.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var properties thing
	return properties, json.Unmarshal(text, &properties)
}

// delete takes a thing out of the world; one that is gone already is fine.
func (w world) delete(id string) error {
	if err := os.Remove(w.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// mustFail says whether the test asked for this operation to end in a `kind` of failure ("fail", "partial").
func (w world) mustFail(kind, operation, name string) bool {
	return exists(w.control(kind, operation, name))
}

// hang waits while the test holds this operation; `kind` is "hang" or "hang-after".
// The marker stays: the test takes it away when it has seen it.
func (w world) hang(kind, operation, name string, cancelled <-chan struct{}) error {
	control := w.control(kind, operation, name)
	if !exists(control) {
		return nil
	}
	inside := filepath.Join(w.dir, "inside", operation+"-"+name)
	if err := os.MkdirAll(filepath.Dir(inside), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(inside, nil, 0o644); err != nil {
		return err
	}
	for exists(control) {
		// A file that was removed meanwhile reads as empty, and the loop ends by itself.
		heed, _ := os.ReadFile(control)
		select {
		case <-cancelled:
			if string(heed) == "until cancelled" {
				return errCancelled
			}
			time.Sleep(waitStep)
		case <-time.After(waitStep):
		}
	}
	// The test may have killed the CLI first: then what it allows is meant for the next one.
	endIfOrphaned()
	return nil
}

// note adds a line to the log. A single write of one line is not mixed with another process's.
func (w world) note(operation, name, id string) error {
	log, err := os.OpenFile(filepath.Join(w.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	_, err = fmt.Fprintf(log, "%s %s %s\n", operation, name, id)
	return err
}

func (w world) path(id string) string {
	return filepath.Join(w.dir, "things", id+".json")
}

func (w world) control(kind, operation, name string) string {
	return filepath.Join(w.dir, "control", kind+"-"+operation+"-"+name)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"s3gate/policy"
)

// History keeps the policies that one bucket has had, in a folder of its own: a
// file for each, named after the time at which it was saved. Methods may be
// called from several goroutines and processes.
type History struct {
	// Dir is the folder; it is made when something is saved, for its owner
	// alone.
	Dir string
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Version is one policy of a [History].
type Version struct {
	// Name is the time at which it was saved, as in 20300131T120000.000000000Z.
	Name string `json:"time"`
	// Path is its file.
	Path string `json:"file"`
	// Document is the policy; nil means that the bucket had none.
	Document []byte `json:"-"`
}

// ErrNoVersion is what a [History] answers that does not have what was asked
// for.
var ErrNoVersion = errors.New("no such policy was saved")

// The names of versions, and what their files end in. That there was no policy
// has an ending of its own, so that a file which a crash has emptied is not
// taken for it.
const (
	versionName = "20060102T150405.000000000Z"
	somePolicy  = ".json"
	noPolicy    = ".none"
)

// Save keeps a policy, nil for none, unless it is the one that was saved last.
// When it returns nil the file is on disk, whole.
func (h History) Save(document []byte) error {
	// What cannot be read does not keep anything from being saved.
	if last, err := h.List(); err == nil && len(last) > 0 && samePolicy(last[0].Document, document) {
		return nil
	}
	if err := os.MkdirAll(h.Dir, 0o700); err != nil {
		return fmt.Errorf("making the folder for saved policies: %w", err)
	}
	path, err := h.free(document)
	if err == nil {
		err = writeWhole(path, document)
	}
	if err != nil {
		return fmt.Errorf("saving the policy: %w", err)
	}
	return nil
}

// free is the path for a policy that is saved now.
func (h History) free(document []byte) (string, error) {
	now := time.Now
	if h.Now != nil {
		now = h.Now
	}
	ending := somePolicy
	if document == nil {
		ending = noPolicy
	}
	for at := now().UTC(); ; at = at.Add(1) {
		base := filepath.Join(h.Dir, at.Format(versionName))
		if there, err := filepath.Glob(base + ".*"); err != nil || len(there) == 0 {
			return base + ending, err
		}
	}
}

// writeWhole makes a file such that it is there with all its bytes or not at
// all, whatever fails.
func writeWhole(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".saving-*") // for its owner alone
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name in a folder last. Some systems cannot, and lose
// it with the power at worst.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}

// List returns what was saved, the latest first. A file that is no policy is an
// error that names it.
func (h History) List() ([]Version, error) {
	entries, err := os.ReadDir(h.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing saved policies: %w", err)
	}
	var list []Version
	for _, e := range slices.Backward(entries) {
		ending := filepath.Ext(e.Name())
		v := Version{Name: strings.TrimSuffix(e.Name(), ending), Path: filepath.Join(h.Dir, e.Name())}
		if _, err := time.Parse(versionName, v.Name); err != nil || ending != somePolicy && ending != noPolicy {
			continue
		}
		if ending == somePolicy {
			if v.Document, err = ReadPolicy(v.Path); err != nil {
				return nil, err
			}
		}
		list = append(list, v)
	}
	return list, nil
}

// Find returns the version of that name. Errors: [ErrNoVersion].
func (h History) Find(name string) (Version, error) {
	list, err := h.List()
	if err != nil {
		return Version{}, err
	}
	for _, v := range list {
		if v.Name == name {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("%w: %q is not in %s", ErrNoVersion, name, h.Dir)
}

// Previous returns the latest version that says something else than current.
// Errors: [ErrNoVersion].
func (h History) Previous(current []byte) (Version, error) {
	list, err := h.List()
	if err != nil {
		return Version{}, err
	}
	for _, v := range list {
		if !samePolicy(v.Document, current) {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("%w: %s has none that differs from the one in force", ErrNoVersion, h.Dir)
}

// ReadPolicy reads a policy from a file, up to [policy.MaxSize] bytes. What is no
// JSON object is an error that names the file.
func ReadPolicy(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a policy: %w", err)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, fmt.Errorf("reading a policy: %s: %w", path, err)
	}
	if len(text) > policy.MaxSize {
		return nil, fmt.Errorf("reading a policy: %s: %w: %d bytes, S3 stores at most %d", path, policy.ErrTooLarge, len(text), policy.MaxSize)
	}
	return text, nil
}

// samePolicy reports whether two policies, nil for none, are the same but for
// their formatting, which S3 does not promise to keep.
func samePolicy(a, b []byte) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return bytes.Equal(a, b) || policy.Diff(a, b) == ""
}

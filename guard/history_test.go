package guard_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"s3gate/guard"
	"s3gate/policy"
)

// newHistory is one of which each version is a second later than the last.
func newHistory(t *testing.T) guard.History {
	at := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	return guard.History{Dir: filepath.Join(t.TempDir(), "policies", "vault"), Now: func() time.Time {
		at = at.Add(time.Second)
		return at
	}}
}

func TestHistory(t *testing.T) {
	h := newHistory(t)
	if list, err := h.List(); err != nil || list != nil {
		t.Fatalf("before anything was saved: %v, %v", list, err)
	}
	documents := [][]byte{nil, []byte(policies[0].document), []byte(policies[1].document), nil}
	for _, d := range documents {
		for range 2 { // the second time it is there already
			if err := h.Save(d); err != nil {
				t.Fatal(err)
			}
		}
	}
	list, err := h.List()
	if err != nil || len(list) != len(documents) {
		t.Fatalf("%v, %d versions, want %d", err, len(list), len(documents))
	}
	for i, v := range list {
		want := documents[len(documents)-1-i]
		if !bytes.Equal(v.Document, want) || (v.Document == nil) != (want == nil) {
			t.Errorf("%s holds %q, want %q", v.Name, v.Document, want)
		}
		if found, err := h.Find(v.Name); err != nil || found.Path != v.Path {
			t.Errorf("%s: %v, %v", v.Name, found, err)
		}
		info, err := os.Stat(v.Path)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", v.Path, info.Mode(), err)
		}
	}
	if list[3].Name != "20300131T120001.000000000Z" || filepath.Base(list[3].Path) != list[3].Name+".none" {
		t.Errorf("the first is %s", list[3].Path)
	}
	if info, err := os.Stat(h.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	if _, err := h.Find("20300131T120001"); !errors.Is(err, guard.ErrNoVersion) {
		t.Errorf("half a name: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(h.Dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// Versions saved in the same moment do not overwrite each other.
func TestHistoryOfOneMoment(t *testing.T) {
	now := time.Now()
	h := guard.History{Dir: t.TempDir(), Now: func() time.Time { return now }}
	for _, d := range []string{policies[0].document, "", policies[1].document} {
		document := []byte(d)
		if d == "" {
			document = nil
		}
		if err := h.Save(document); err != nil {
			t.Fatal(err)
		}
	}
	list, err := h.List()
	if err != nil || len(list) != 3 || string(list[0].Document) != policies[1].document {
		t.Errorf("%v, %v", list, err)
	}
}

func TestPreviousIsTheLatestThatDiffers(t *testing.T) {
	h := newHistory(t)
	a, b := []byte(policies[0].document), []byte(policies[1].document)
	spread := []byte(strings.Replace(policies[0].document, ",", ", ", 1))
	for _, d := range [][]byte{nil, a, b} {
		if err := h.Save(d); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name          string
		current, want []byte
	}{
		{"the latest is in force", b, a},
		{"another is", a, b},
		{"one that was never saved is", []byte(policies[2].document), b},
		{"none is", nil, b},
		{"only the formatting differs", spread, b},
	} {
		if v, err := h.Previous(tt.current); err != nil || !bytes.Equal(v.Document, tt.want) {
			t.Errorf("%s: %q, %v", tt.name, v.Document, err)
		}
	}
	only := newHistory(t)
	if err := only.Save(a); err != nil {
		t.Fatal(err)
	}
	if v, err := only.Previous(spread); !errors.Is(err, guard.ErrNoVersion) {
		t.Errorf("%v, %v", v, err)
	}
}

// A file that was damaged is not taken for a policy, nor for there being none, and
// does not keep others from being saved.
func TestHistoryWithDamagedFiles(t *testing.T) {
	for _, text := range []string{"", "{", `"policy"`, `{"Id":"` + strings.Repeat("x", policy.MaxSize) + `"}`} {
		h := newHistory(t)
		if err := os.MkdirAll(h.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(h.Dir, "20300101T000000.000000000Z.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := h.List(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%.10q: %v, %v", text, list, err)
		}
		if _, err := h.Previous(nil); err == nil {
			t.Errorf("%.10q was passed over", text)
		}
		if err := h.Save(nil); err != nil {
			t.Errorf("%.10q: %v", text, err)
		}
	}
}

func TestHistoryLeavesOtherFilesAlone(t *testing.T) {
	h := newHistory(t)
	if err := h.Save([]byte(policies[0].document)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"notes.json", ".saving-1", "20300101T000000.000000000Z.txt", "20300101T000000.000000000Z"} {
		if err := os.WriteFile(filepath.Join(h.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := h.List(); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// What cannot be saved before is not changed; what cannot be saved after is said.
func TestApplyKept(t *testing.T) {
	admin, _ := newBucket(t, policies[0].document)
	b := &written{Bucket: admin}
	plan, err := guard.Lock(t.Context(), b, options())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := plan.ApplyKept(t.Context(), b, guard.History{Dir: file}); err == nil || errors.Is(err, guard.ErrNotKept) || b.puts > 0 {
		t.Errorf("%v, %d writes", err, b.puts)
	}
	h := newHistory(t)
	if err := plan.ApplyKept(t.Context(), b, h); err != nil {
		t.Fatal(err)
	}
	list, err := h.List()
	if err != nil || len(list) != 2 || string(list[1].Document) != policies[0].document || !bytes.Equal(list[0].Document, policyOf(t, admin)) {
		t.Errorf("%v, %v", list, err)
	}
	if again, err := guard.Lock(t.Context(), b, options()); err != nil || again.ApplyKept(t.Context(), b, guard.History{Dir: file}) != nil {
		t.Errorf("what changes nothing needs nothing saved: %v", err)
	}

	undo, err := guard.Unlock(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if err := undo.ApplyKept(t.Context(), &breaking{b, h.Dir}, h); !errors.Is(err, guard.ErrNotKept) {
		t.Errorf("%v, want ErrNotKept", err)
	}
	if got := policyOf(t, admin); string(got) != policies[0].document {
		t.Errorf("the policy is %s", got)
	}
}

// breaking is a bucket with whose policy the history goes.
type breaking struct {
	*written
	dir string
}

func (b *breaking) PutPolicy(ctx context.Context, document []byte) error {
	if err := os.RemoveAll(b.dir); err != nil {
		return err
	}
	if err := os.WriteFile(b.dir, nil, 0o600); err != nil {
		return err
	}
	return b.written.PutPolicy(ctx, document)
}

// A policy that has changed since is not overwritten by a restored one.
func TestRestore(t *testing.T) {
	admin, _ := newBucket(t, policies[0].document)
	for _, document := range []string{policies[1].document, "", policies[0].document} {
		want := []byte(document)
		if document == "" {
			want = nil
		}
		plan, err := guard.Restore(t.Context(), admin, want)
		apply(t, admin, plan, err)
		if got := policyOf(t, admin); !bytes.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("the policy is %q, want %q", got, want)
		}
	}
	spread := []byte(strings.Replace(policies[0].document, ",", ", ", 1))
	if plan, err := guard.Restore(t.Context(), admin, spread); err != nil || plan.Changes() {
		t.Errorf("only the formatting differs, and it plans %s, %v", plan.Diff(), err)
	}
	plan, err := guard.Restore(t.Context(), admin, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.PutPolicy(t.Context(), []byte(policies[1].document)); err != nil {
		t.Fatal(err)
	}
	if err := plan.ApplyKept(t.Context(), admin, newHistory(t)); !errors.Is(err, guard.ErrChanged) {
		t.Errorf("%v, want ErrChanged", err)
	}
}

// In an emergency nothing that is refused is permitted again, whatever was
// locked before.
func TestTightenWeakensNothing(t *testing.T) {
	before := options()
	before.Prefix, before.ExemptUsers, before.MaxURLAge = "private/", []string{"alice"}, time.Minute
	before.Accounts = []string{"000000000000"}
	wider := options()
	wider.Actions = append(policy.DefaultActions(), "s3:GetBucketLocation")
	b, _ := newBucket(t, "")
	plan, err := guard.Lock(t.Context(), b, wider)
	apply(t, b, plan, err)
	plan, err = guard.Tighten(t.Context(), b, options())
	if err != nil || plan.Weaker() != nil || plan.Changes() {
		t.Errorf("%v, weaker: %q, changes:\n%s", err, plan.Weaker(), plan.Diff())
	}
	admin, _ := newBucket(t, policies[0].document)
	plan, err = guard.Lock(t.Context(), admin, before)
	apply(t, admin, plan, err)
	plan, err = guard.Tighten(t.Context(), admin, options())
	if got := plan.Weaker(); got != nil {
		t.Errorf("weaker: %q", got)
	}
	apply(t, admin, plan, err)
	got := string(policyOf(t, admin))
	for _, sid := range []string{policy.SidPresigned, policy.SidPresignedList, policy.SidOldSignature, policy.SidOutsider, policy.SidStaleURL} {
		if strings.Count(got, `"`+sid+`"`) != 1 {
			t.Errorf("%s is not there once: %s", sid, got)
		}
	}
	if strings.Contains(got, "alice\"") && strings.Contains(got, "aws:username") {
		t.Errorf("somebody is still exempt: %s", got)
	}
	// To lock is to set the options, and that is weaker here.
	plan, err = guard.Lock(t.Context(), admin, options())
	if want := []string{"S3GateDenyStaleURL goes", "S3GateDenyOutsider goes"}; err != nil || !slices.Equal(plan.Weaker(), want) {
		t.Errorf("%v, weaker: %q, want %q", err, plan.Weaker(), want)
	}
	plan, err = guard.Unlock(t.Context(), admin)
	apply(t, admin, plan, err)
	if got := policyOf(t, admin); string(got) != policies[0].document {
		t.Errorf("unlocked to %s", got)
	}
	// What nobody can read of ours is replaced.
	plan, err = guard.Tighten(t.Context(), &settings{document: []byte(`{"Statement":[{"Sid":"S3GateDenyPresigned","Frob":1}]}`)}, options())
	if err != nil || strings.Contains(string(plan.After), "Frob") || !strings.Contains(strings.Join(plan.Weaker(), ""), "cannot be read") {
		t.Errorf("%v, planned %s, weaker: %q", err, plan.After, plan.Weaker())
	}
}

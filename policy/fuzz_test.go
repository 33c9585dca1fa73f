package policy_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"s3gate/policy"
)

// about makes requests that have to do with a document: its own names, values and keys are asked for.
func about(d dice, doc *policy.Document) []policy.Request {
	var list []policy.Request
	for range 8 {
		r := d.request()
		for _, s := range doc.Statements() {
			for _, list := range []policy.Values{s.Resource, s.NotResource} {
				if len(list) > 0 && d.IntN(2) == 0 {
					r.Resource = strings.ReplaceAll(list[0], "*", "x")
				}
			}
			for _, keys := range s.Condition {
				for key, values := range keys {
					if d.IntN(3) > 0 {
						r.Context.Set(key, values...)
					}
				}
			}
		}
		list = append(list, r)
	}
	return list
}

// What Parse accepts means the same when it is written anew, evaluates to the same each time, and to what
// Explain explains. Nothing panics.
func FuzzEvaluate(f *testing.F) {
	for _, e := range examples {
		f.Add([]byte(`{"Version":"2012-10-17","Statement":[` + e.statements + `]}`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := policy.Parse(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(doc)
		if err != nil {
			t.Fatalf("%q cannot be written: %v", text, err)
		}
		if len(again) > policy.MaxSize {
			return
		}
		copied, err := policy.Parse(again)
		if err != nil {
			t.Fatalf("%q is written as %q, which is refused: %v", text, again, err)
		}
		if !reflect.DeepEqual(doc.Warnings(), copied.Warnings()) {
			t.Errorf("warnings %+v, written anew %+v", doc.Warnings(), copied.Warnings())
		}
		for _, r := range about(dice{rand.New(rand.NewPCG(1, uint64(len(text))))}, doc) {
			want := doc.Evaluate(r)
			if got := copied.Evaluate(r); got != want {
				t.Fatalf("%q: %+v, written anew %+v\n%+v", text, want, got, r)
			}
			if got := doc.Evaluate(r); got != want {
				t.Fatalf("%q: %+v, then %+v\n%+v", text, want, got, r)
			}
			if got := doc.Explain(r).Decision; got != want {
				t.Fatalf("%q: %+v, explained %+v\n%+v", text, want, got, r)
			}
		}
	})
}

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"s3gate/client"
)

// follower serves events as gates do that come and go.
func follower(t *testing.T, answers ...http.HandlerFunc) (*client.Client, *[]string) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("after")+" "+r.URL.Query().Get("limit"))
		answers[min(len(asked), len(answers))-1](w, r)
	}))
	t.Cleanup(server.Close)
	return client.New(server.URL, "t"), &asked
}

// tells answers with events at these positions, and breaks off if it is told to.
func tells(breaks bool, positions ...int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, at := range positions {
			fmt.Fprintf(w, "{\"id\":\"evt_%d\",\"position\":\"%d-0\"}\n", at, at)
		}
		w.(http.Flusher).Flush()
		if breaks {
			panic(http.ErrAbortHandler)
		}
	}
}

func TestFollowGoesOn(t *testing.T) {
	refuses := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for _, test := range []struct {
		name    string
		limit   int
		answers []http.HandlerFunc
		want    []string
		asked   []string
		fails   bool
	}{
		{"after a break", 4, []http.HandlerFunc{tells(true, 1, 2), refuses(503), tells(false, 3, 4)},
			[]string{"1-0", "2-0", "3-0", "4-0"}, []string{"now 4", "2-0 2", "2-0 2"}, false},
		{"after an end", 2, []http.HandlerFunc{tells(false, 1), tells(false, 2)},
			[]string{"1-0", "2-0"}, []string{"now 2", "1-0 1"}, false},
		{"not beyond the limit", 2, []http.HandlerFunc{tells(true, 1, 2), tells(false, 3)},
			[]string{"1-0", "2-0"}, []string{"now 2"}, false},
		{"not without the right", 0, []http.HandlerFunc{tells(true, 1), refuses(401)},
			[]string{"1-0"}, []string{"now ", "1-0 "}, true},
		{"not where nobody was", 0, []http.HandlerFunc{tells(true)}, nil, []string{"now "}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, asked := follower(t, test.answers...)
			var got []string
			err := follow(t.Context(), c, client.EventQuery{Follow: true, After: "now", Limit: test.limit}, func(e client.Event) error {
				got = append(got, e.Position)
				return nil
			}, func(string, ...any) {})
			if (err != nil) != test.fails || !slices.Equal(got, test.want) || !slices.Equal(*asked, test.asked) {
				t.Errorf("got %q, asked %q, %v", got, *asked, err)
			}
		})
	}
}

package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"s3gate/client"
)

func TestWhenAvailable(t *testing.T) {
	link, api := &statusError{status: 503}, &client.Error{Status: 503}
	other := &statusError{status: 500}
	for _, tt := range []struct {
		name  string
		fails []error // what comes first, of which the last one stays if forever
		stays bool
		want  error
		tries int // 0: many
	}{
		{"at once", nil, false, nil, 1},
		{"a link without a lease", []error{link, link}, false, nil, 3},
		{"an API without Redis", []error{api}, false, nil, 2},
		{"another error", []error{other}, true, other, 1},
		{"another error later", []error{link, other}, true, other, 2},
		{"for good", []error{api}, true, api, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries, began := 0, time.Now()
				err := whenAvailable(t.Context(), func() error {
					tries++
					switch {
					case tries <= len(tt.fails):
						return tt.fails[tries-1]
					case tt.stays:
						return tt.fails[len(tt.fails)-1]
					}
					return nil
				})
				if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || tt.tries > 0 && tries != tt.tries {
					t.Errorf("ends with %v after %d tries, want %v after %d", err, tries, tt.want, tt.tries)
				}
				if took := time.Since(began); took > 2*unavailableFor {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// A turn that fails is repeated, but not for ever.
func TestTurnsAreRepeated(t *testing.T) {
	for _, tt := range []struct {
		fails, tries int
		ok           bool
	}{{0, 1, true}, {2, 3, true}, {mostRepeated, mostRepeated + 1, true}, {mostRepeated + 1, mostRepeated + 1, false}} {
		synctest.Test(t, func(t *testing.T) {
			b, w, tries := &bench{stderr: t.Output()}, &work{name: "it"}, 0
			_, err := b.turn(t.Context(), w, contender{name: "we", measure: func(context.Context) ([]float64, error) {
				if tries++; tries <= tt.fails {
					return nil, errors.New("no")
				}
				return []float64{1}, nil
			}})
			if (err == nil) != tt.ok || tries != tt.tries || w.repeated != tt.tries-1 {
				t.Errorf("%d failures: ends with %v after %d tries, %d repeated", tt.fails, err, tries, w.repeated)
			}
		})
	}
}

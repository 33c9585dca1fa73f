package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the settings. It never holds the value
// of a secret.
type Problem struct {
	// Where is what has to be changed: a line of the file such as
	// s3gate.yaml:12, a variable or a flag; "" if the setting is nowhere.
	Where string `json:"where,omitempty"`
	// Setting is its path, such as redis.addrs; "" for what is no setting.
	Setting string `json:"setting,omitempty"`
	// Text says what is wrong.
	Text string `json:"problem"`
}

func (p *Problem) Error() string {
	var words []string
	for _, word := range []string{p.Where, p.Setting, p.Text} {
		if word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, ": ")
}

// Problems takes apart an error of [Load] or [Config.Validate]. An error of
// something else becomes one problem.
func Problems(err error) []*Problem {
	var list problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &list):
		return list
	}
	return []*Problem{{Text: err.Error()}}
}

// problems are an error with a line for each.
type problems []*Problem

func (l problems) Error() string {
	lines := make([]string, len(l))
	for i, p := range l {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// err is nil if there is no problem.
func (l problems) err() error {
	if len(l) == 0 {
		return nil
	}
	slices.SortStableFunc(l, func(a, b *Problem) int { return strings.Compare(a.Setting, b.Setting) })
	return l
}

func (l *problems) add(setting, format string, args ...any) {
	*l = append(*l, &Problem{Setting: setting, Text: fmt.Sprintf(format, args...)})
}

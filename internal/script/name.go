package script

import "sync"

// names are those of scripts that were loaded, by their hash and by their text. They
// are only added to, while packages are set up.
var names sync.Map

func (s *Script) named(name string) {
	for form, text := range s.texts {
		names.Store(form.Hash(), name)
		names.Store(text, name)
	}
}

// Name is the name of the script that a command runs, of which that is the first
// argument of EVALSHA or EVAL: such as redeem.lua; "" for those that were not loaded by
// [Load].
func Name(hashOrText string) string {
	if name, ok := names.Load(hashOrText); ok {
		return name.(string) + ".lua"
	}
	return ""
}

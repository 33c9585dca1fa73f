package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Merge puts our statements into the text of an existing policy, by Sid: a statement of ours that is there
// already is replaced where it stands, new ones are added, and statements we own ([Owned]) that are no
// longer wanted go. Every other byte stays as it was, whatever it says; merging the same statements again
// changes nothing. Existing may be empty: there is no policy yet. The result is nil when no statement is
// left, and the policy is then to be deleted.
//
// Existing text that is not a JSON object with statements is an error wrapping [ErrMalformed], a result
// over [MaxSize] one wrapping [ErrTooLarge]. Neither argument is modified.
func Merge(existing []byte, ours []Statement) ([]byte, error) {
	if err := checkOwned(ours); err != nil {
		return nil, err
	}
	result, err := merge(existing, ours)
	if err == nil && len(result) > MaxSize {
		return nil, tooLargeWith(result)
	}
	return result, err
}

// tooLargeWith is tooLarge for a policy with our statements, and says how many of its bytes are ours.
func tooLargeWith(merged []byte) error {
	others, err := merge(merged, nil)
	if err != nil {
		return tooLarge(len(merged))
	}
	return fmt.Errorf("%w, %d too many; %d of them are the lock's", tooLarge(len(merged)), len(merged)-MaxSize, len(merged)-len(others))
}

// Remove takes every statement we own ([Owned]) out of a policy. It undoes [Merge] exactly: a policy that
// held none of ours before comes back byte for byte. It returns nil when nothing is left, and the policy is
// then to be deleted. Errors are those of Merge.
func Remove(existing []byte) ([]byte, error) {
	return merge(existing, nil)
}

func merge(existing []byte, ours []Statement) ([]byte, error) {
	if len(bytes.TrimSpace(existing)) == 0 {
		if len(ours) == 0 {
			return nil, nil
		}
		return newDocument(ours)
	}
	o, err := newOutline(existing)
	if err != nil {
		return nil, err
	}
	if len(ours) == 0 {
		if !o.strip() {
			return nil, nil
		}
		return o.text(), nil
	}
	added, err := o.replace(ours)
	if err == nil {
		err = o.add(added)
	}
	if err != nil {
		return nil, err
	}
	return o.text(), nil
}

// newDocument renders a policy of these statements alone.
func newDocument(statements []Statement) ([]byte, error) {
	l := layout{lines: true, prefix: "    ", indent: "  "}
	bodies := make([]string, len(statements))
	for i, s := range statements {
		var err error
		if bodies[i], err = l.render(s); err != nil {
			return nil, err
		}
	}
	return []byte("{\n  \"Version\": \"" + version2012 + "\",\n  \"Statement\": [\n    " +
		strings.Join(bodies, ",\n    ") + "\n  ]\n}"), nil
}

// strip drops all entries we own and reports whether any are left.
//
// Adding to a lone statement that is no list puts ours before it, right behind the bracket; adding to a
// list puts ours after the others. What stands first thus tells which of the two the text was, and a lone
// statement is set free again.
func (o *outline) strip() bool {
	lone := len(o.entries) > 0 && o.entries[0].gap == "" && Owned(o.entries[0].sid)
	o.drop(func(e entry) bool { return Owned(e.sid) })
	if lone && len(o.entries) == 1 {
		o.entries[0].gap = ""
		o.single = true
	}
	return len(o.entries) > 0
}

// drop deletes entries, each with the gap before it; the first that stays takes the first gap over.
func (o *outline) drop(gone func(entry) bool) {
	if len(o.entries) == 0 {
		return
	}
	first := o.entries[0].gap
	o.entries = slices.DeleteFunc(o.entries, gone)
	if len(o.entries) > 0 {
		o.entries[0].gap = first
	}
}

// replace writes ours over the entries we own: each over the one of its Sid, then new ones over those no
// longer wanted. Entries left over go, statements left over are returned.
func (o *outline) replace(ours []Statement) (added []Statement, err error) {
	wanted := map[string]Statement{}
	for _, s := range ours {
		wanted[s.Sid] = s
	}
	placed := map[string]bool{}
	var stale []int
	for i := range o.entries {
		sid := o.entries[i].sid
		s, ok := wanted[sid]
		switch {
		case !Owned(sid):
		case !ok || placed[sid]:
			stale = append(stale, i)
		default:
			placed[sid] = true
			if err := o.overwrite(i, s); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range ours {
		switch {
		case placed[s.Sid]:
		case len(stale) == 0:
			added = append(added, s)
		default:
			if err := o.overwrite(stale[0], s); err != nil {
				return nil, err
			}
			stale = stale[1:]
		}
	}
	for _, i := range stale {
		o.entries[i].body = ""
	}
	o.drop(func(e entry) bool { return e.body == "" })
	return added, nil
}

// overwrite puts s in place of entry i, unless it says the same already.
func (o *outline) overwrite(i int, s Statement) error {
	compact, err := encode(s)
	if err != nil {
		return err
	}
	if sameJSON([]byte(o.entries[i].body), compact) {
		return nil
	}
	body, err := o.layoutOf(i).render(s)
	o.entries[i].body, o.entries[i].sid = body, s.Sid
	return err
}

// add inserts statements after the last entry we own. Where there is none yet they go to the end of a list
// and before a lone statement, see strip.
func (o *outline) add(statements []Statement) error {
	if len(statements) == 0 {
		return nil
	}
	at := len(o.entries)
	for i, e := range o.entries {
		if Owned(e.sid) {
			at = i + 1
		}
	}
	l := layout{}
	if len(o.entries) > 0 {
		l = o.layoutOf(max(at-1, 0))
	}
	fresh := make([]entry, len(statements))
	for i, s := range statements {
		body, err := l.render(s)
		if err != nil {
			return err
		}
		fresh[i] = entry{gap: o.gapAfter(max(at-1, 0), l), body: body, sid: s.Sid}
	}
	switch {
	case o.single:
		at, o.single = 0, false
		o.entries[0].gap = fresh[0].gap
		fresh[0].gap = ""
	case at == 0: // an empty list
		fresh[0].gap = ""
	}
	o.entries = slices.Insert(o.entries, at, fresh...)
	return nil
}

// gapAfter is what sets an entry off from entry i: what sets entry i off, if that can tell.
func (o *outline) gapAfter(i int, l layout) string {
	switch {
	case i > 0:
		return o.entries[i].gap
	case len(o.entries) > 0 && o.entries[0].gap != "":
		return "," + o.entries[0].gap
	case l.lines:
		return ", "
	default:
		return ","
	}
}

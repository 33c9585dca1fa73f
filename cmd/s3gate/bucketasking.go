package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"

	"s3gate/guard"
	"s3gate/internal/duration"
	"s3gate/policy"
)

// maxAsking bounds what is read of a request.
const maxAsking = 64 << 10

// asking describes a request, by flags or as JSON.
type asking struct {
	Action       string              `json:"action"`
	Key          string              `json:"key"`
	As           string              `json:"as"`
	Auth         string              `json:"auth"`
	OldSignature bool                `json:"signature_v2"`
	PlainHTTP    bool                `json:"plain_http"`
	SourceIP     string              `json:"source_ip"`
	VPCE         string              `json:"vpce"`
	Age          string              `json:"age"`
	Conditions   map[string][]string `json:"conditions"`

	set []string // conditions as key=value
}

// request finds out what is asked about: text says it, and the flags change what it says.
func (x *explainer) request(text string, flags asking) (policy.Request, []string, error) {
	list, err := x.standardRequests()
	if err != nil {
		return policy.Request{}, nil, err
	}
	for _, r := range list {
		if r.Name == text && x.bucket == "" {
			return r.Request, nil, usageError{errNoBucket}
		} else if r.Name == text {
			return r.Request, nil, x.unchanged()
		}
	}
	d, as, notes, err := x.describe(text)
	if err != nil {
		return policy.Request{}, nil, err
	}
	if err := x.change(&d, flags); err != nil {
		return policy.Request{}, nil, err
	}
	if d.Bucket = cmp.Or(d.Bucket, x.bucket); d.Bucket == "" {
		return policy.Request{}, nil, usageError{errNoBucket}
	}
	d.Partition = x.partition
	if d.Principal, err = x.caller(cmp.Or(flags.As, as), d.Auth); err != nil {
		return policy.Request{}, nil, err
	}
	r, err := d.Request()
	if err != nil {
		return r, nil, usagef("the request: %v", err)
	}
	return r, notes, nil
}

// standardRequests returns them, of some bucket if none is known.
func (x *explainer) standardRequests() ([]guard.StandardRequest, error) {
	o := x.standard
	o.Bucket = cmp.Or(o.Bucket, "unknown")
	list, err := guard.StandardRequests(o)
	if err != nil {
		err = usageError{err}
	}
	return list, err
}

// names lists the standard requests.
func (x *explainer) names() string {
	list, _ := x.standardRequests() // it has been called before
	var names []string
	for _, r := range list {
		names = append(names, r.Name)
	}
	return strings.Join(names, ", ")
}

// unchanged refuses flags that would make a standard request another one.
func (x *explainer) unchanged() error {
	for _, name := range []string{"as", "auth", "signature-v2", "plain-http", "age", "condition"} {
		if x.cmd.Flags().Changed(name) {
			return usagef("--%s does not change a standard request: describe the request without --request or --all", name)
		}
	}
	return nil
}

var methodAndURL = regexp.MustCompile(`^(> )?([A-Z]+ )?https?://|^(> )?[A-Z]+ /`)

// describe reads what --request says: a URL, an HTTP request, or a file that holds one of them or JSON.
func (x *explainer) describe(text string) (d guard.Description, as string, notes []string, err error) {
	if text == "" {
		return d, "", nil, nil
	}
	if !methodAndURL.MatchString(text) {
		raw, err := readFile(x.cmd, text, maxAsking)
		if errors.As(err, new(usageError)) { // it may be a URL that is mistyped, and signed
			return d, "", nil, usagef("--request is neither a standard request nor a URL with https://, nor a file that can be opened; the standard requests are %s", x.names())
		}
		if err != nil {
			return d, "", nil, err
		}
		if text = strings.TrimSpace(string(raw)); strings.HasPrefix(text, "{") {
			d, as, err = fromJSON(text)
			return d, as, nil, err
		}
	}
	r, err := guard.ReadHTTP(text)
	if err != nil {
		return d, "", nil, usagef("the request: %v", err)
	}
	if d, notes, err = guard.FromHTTP(r, x.bucket, time.Now()); err != nil {
		err = usagef("the request: %v", err)
	}
	return d, "", notes, err
}

func fromJSON(text string) (guard.Description, string, error) {
	var a asking
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		return guard.Description{}, "", usagef("the request: %v", err)
	}
	context := policy.Context{}
	for key, values := range a.Conditions {
		context.Set(key, values...)
	}
	age, err := ageOf(a.Age)
	return guard.Description{
		Action: a.Action, Key: a.Key, Auth: a.Auth, OldSignature: a.OldSignature, PlainHTTP: a.PlainHTTP,
		SourceIP: a.SourceIP, SourceVPCE: a.VPCE, Age: age, Context: context,
	}, a.As, err
}

func ageOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	age, err := duration.Parse(text)
	if err != nil {
		return 0, usagef("age: %v", err)
	}
	return age, nil
}

// change makes the description say what the flags say.
func (x *explainer) change(d *guard.Description, a asking) error {
	changed := x.cmd.Flags().Changed
	d.Action, d.Key = cmp.Or(a.Action, d.Action), cmp.Or(a.Key, d.Key)
	d.SourceIP, d.SourceVPCE = cmp.Or(a.SourceIP, d.SourceIP), cmp.Or(a.VPCE, d.SourceVPCE)
	if changed("auth") {
		d.Auth, d.Age = a.Auth, 0
	}
	if changed("signature-v2") {
		d.OldSignature = a.OldSignature
	}
	if changed("plain-http") {
		d.PlainHTTP = a.PlainHTTP
	}
	if changed("age") {
		var err error
		if d.Age, err = ageOf(a.Age); err != nil {
			return err
		}
	}
	given := policy.Context{}
	for _, condition := range a.set {
		key, value, ok := strings.Cut(condition, "=")
		if !ok || !strings.Contains(key, ":") {
			return usagef("--condition %q is not of the form key=value, such as s3:prefix=a/", condition)
		}
		if key = strings.ToLower(key); value == "" {
			given[key] = nil
			continue
		}
		given[key] = append(given[key], value)
	}
	if d.Context == nil {
		d.Context = policy.Context{}
	}
	for key, values := range given {
		d.Context[key] = values
	}
	return nil
}

// caller tells who asks; nobody named is an administrator, if the request is signed.
func (x *explainer) caller(name, auth string) (policy.Principal, error) {
	if name == "" && auth == guard.AuthNone {
		name = policy.Anonymous
	}
	switch name {
	case "", "admin":
		return x.standard.Admin, nil
	case "gate":
		return x.standard.Gate, nil
	}
	p, err := policy.ParsePrincipal(name)
	if err != nil {
		return p, usagef("as: %v", err)
	}
	return p, nil
}

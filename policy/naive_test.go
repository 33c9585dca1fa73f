package policy_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"s3gate/policy"
)

// A naive evaluates a document as the rules are written down, from its JSON and without any of the
// package's code: slow, and right by being read. The rules are those of "Policy evaluation logic" and the
// pages on the elements, IAM User Guide.
type naive struct {
	r         policy.Request
	variables bool
}

// plainDocument is a document as JSON has it.
type plainDocument struct {
	Version   string
	Statement []map[string]any
}

func (n naive) document(doc plainDocument) policy.Effect {
	n.variables = doc.Version == "2012-10-17"
	effect := policy.None
	for _, s := range doc.Statement {
		if !n.statement(s) {
			continue
		}
		if s["Effect"] == "Deny" {
			return policy.Deny // an explicit deny overrides
		}
		effect = policy.Allow
	}
	return effect
}

func (n naive) statement(s map[string]any) bool {
	return n.principal(s) && n.action(s) && n.resource(s) && n.condition(s)
}

func (n naive) principal(s map[string]any) bool {
	if p, ok := s["Principal"]; ok {
		return n.named(p, n.names())
	}
	p := s["NotPrincipal"]
	if n.r.Principal.Service != "" {
		return !n.named(p, n.names())
	}
	// The account, then the role, then the session: one that is not listed is denied.
	for _, alias := range n.layers() {
		if !n.named(p, alias) {
			return true
		}
	}
	return len(n.layers()) == 0 && !n.named(p, nil)
}

// names are all that a Principal element can call the caller by.
func (n naive) names() []string { return slices.Concat(n.layers()...) }

func (n naive) layers() [][]string {
	who := n.r.Principal
	if who.Service != "" {
		return [][]string{{who.Service}}
	}
	f := strings.Split(who.ARN, ":")
	if len(f) < 6 {
		return nil
	}
	layers := [][]string{{f[4], "arn:aws:iam::" + f[4] + ":root"}}
	if f[5] == "root" {
		return layers
	}
	if session, ok := strings.CutPrefix(f[5], "assumed-role/"); ok {
		layers = append(layers, []string{"arn:aws:iam::" + f[4] + ":role/" + strings.Split(session, "/")[0]})
	}
	return append(layers, []string{who.ARN})
}

func (n naive) named(element any, names []string) bool {
	if element == "*" {
		return true
	}
	kinds := element.(map[string]any)
	list := slices.Concat(texts(kinds["AWS"]), texts(kinds["Service"]))
	if slices.Contains(texts(kinds["AWS"]), "*") {
		return true
	}
	return slices.ContainsFunc(names, func(s string) bool { return slices.Contains(list, s) })
}

func (n naive) action(s map[string]any) bool {
	matches := func(list any) bool {
		return slices.ContainsFunc(texts(list), func(p string) bool {
			return compiled("(?i)" + glob(p)).MatchString(n.r.Action)
		})
	}
	if list, ok := s["Action"]; ok {
		return matches(list)
	}
	return !matches(s["NotAction"])
}

func (n naive) resource(s map[string]any) bool {
	if list, ok := s["Resource"]; ok {
		matched, _ := n.any(texts(list), n.r.Resource, n.like)
		return matched
	}
	matched, known := n.any(texts(s["NotResource"]), n.r.Resource, n.like)
	return !matched && known
}

// any holds got against each of the values; known is false when a value has a variable without a value.
func (n naive) any(values []string, got string, match func(value, got string) (bool, bool)) (matched, known bool) {
	known = true
	for _, v := range values {
		m, k := match(v, got)
		matched, known = matched || m && k, known && k
	}
	return matched, known
}

func (n naive) condition(s map[string]any) bool {
	conditions, _ := s["Condition"].(map[string]any)
	for op, keys := range conditions {
		for key, values := range keys.(map[string]any) {
			if !n.holds(op, key, texts(values)) {
				return false
			}
		}
	}
	return true
}

func (n naive) holds(op, key string, want []string) bool {
	got := n.values(key)
	if op == "Null" {
		return slices.ContainsFunc(want, func(w string) bool { return (strings.ToLower(w) == "true") == (len(got) == 0) })
	}
	op, anyOf := strings.CutPrefix(op, "ForAnyValue:")
	op, allOf := strings.CutPrefix(op, "ForAllValues:")
	op, ifExists := strings.CutSuffix(op, "IfExists")
	positive := strings.Replace(op, "Not", "", 1)
	negated := positive != op
	if len(got) == 0 && ifExists {
		return true
	}
	if strings.Join(got, "") == "" && (anyOf || allOf) {
		return allOf
	}
	if len(got) == 0 {
		return negated
	}
	passed := 0
	for _, g := range got {
		matched, known := n.any(want, g, n.comparison(positive))
		if negated && !matched && known || !negated && matched {
			passed++
		}
	}
	if allOf || negated && !anyOf {
		return passed == len(got)
	}
	return passed > 0
}

// comparison returns how an operator compares; its results are whether it holds, and whether that is known.
func (n naive) comparison(op string) func(want, got string) (bool, bool) {
	ordered := func(op string, order int, ok bool) (bool, bool) {
		switch {
		case !ok:
			return false, true
		case strings.HasSuffix(op, "LessThan"):
			return order < 0, true
		case strings.HasSuffix(op, "LessThanEquals"):
			return order <= 0, true
		case strings.HasSuffix(op, "GreaterThan"):
			return order > 0, true
		case strings.HasSuffix(op, "GreaterThanEquals"):
			return order >= 0, true
		}
		return order == 0, true
	}
	return func(want, got string) (bool, bool) {
		switch {
		case op == "StringEquals":
			text, known := n.replace(want, regexp.QuoteMeta)
			return compiled("^" + text + "$").MatchString(got), known
		case op == "StringEqualsIgnoreCase":
			text, known := n.replace(want, regexp.QuoteMeta)
			return compiled("(?i)^" + text + "$").MatchString(got), known
		case op == "StringLike":
			return n.like(want, got)
		case op == "Bool":
			return strings.EqualFold(want, got), true
		case op == "IpAddress":
			if !strings.Contains(want, "/") {
				want += map[bool]string{true: "/128", false: "/32"}[strings.Contains(want, ":")]
			}
			_, network, _ := net.ParseCIDR(want)
			return network.Contains(net.ParseIP(got)), true
		case op == "BinaryEquals":
			a, _ := base64.StdEncoding.DecodeString(want)
			b, err := base64.StdEncoding.DecodeString(got)
			return err == nil && string(a) == string(b), true
		case strings.HasPrefix(op, "Arn"):
			return n.arn(want, got)
		case strings.HasPrefix(op, "Numeric"):
			a, ok := new(big.Rat).SetString(got)
			b, _ := new(big.Rat).SetString(want)
			if !ok {
				a = b
			}
			return ordered(op, a.Cmp(b), ok)
		}
		a, err := time.Parse(time.RFC3339, got)
		if seconds, notNumber := strconv.ParseInt(got, 10, 64); notNumber == nil {
			a, err = time.Unix(seconds, 0), nil
		}
		b, _ := time.Parse(time.RFC3339, want)
		return ordered(op, a.Compare(b), err == nil)
	}
}

func (n naive) like(want, got string) (bool, bool) {
	text, known := n.replace(want, glob)
	return compiled("(?s)^" + strings.NewReplacer("^", "", "$", "").Replace(text) + "$").MatchString(got), known
}

func (n naive) arn(want, got string) (bool, bool) {
	w, g := strings.SplitN(want, ":", 6), strings.SplitN(got, ":", 6)
	matched, known := len(g) == 6, true
	for i := 0; i < 6; i++ {
		field := "\x00"
		if i < len(g) {
			field = g[i]
		}
		m, k := n.like(w[i], field)
		matched, known = matched && m, known && k
	}
	return matched, known
}

// compiled keeps what has been compiled: the alphabet is small.
func compiled(pattern string) *regexp.Regexp {
	re, ok := patterns[pattern]
	if !ok {
		re = regexp.MustCompile(pattern)
		patterns[pattern] = re
	}
	return re
}

var patterns = map[string]*regexp.Regexp{}

var variable = regexp.MustCompile(`\$\{([^},]*)(, '([^']*)')?\}`)

// replace makes a regular expression of a text, by how outside its variables and literally inside.
func (n naive) replace(text string, how func(string) string) (string, bool) {
	if !n.variables {
		return how(text), true
	}
	out, known, at := "", true, 0
	for _, m := range variable.FindAllStringSubmatchIndex(text, -1) {
		out += how(text[at:m[0]])
		at = m[1]
		name := text[m[2]:m[3]]
		got := n.values(name)
		switch {
		case name == "*" || name == "?" || name == "$":
			out += `\x` + fmt.Sprintf("%02x", name[0])
		case len(got) == 1:
			out += regexp.QuoteMeta(got[0])
		case len(got) == 0 && m[4] >= 0:
			out += regexp.QuoteMeta(text[m[6]:m[7]])
		default:
			known = false
		}
	}
	return out + how(text[at:]), known
}

// glob makes a regular expression of a text with wildcards.
func glob(text string) string {
	text = strings.NewReplacer(`\*`, "(.*)", `\?`, "(.)").Replace(regexp.QuoteMeta(text))
	return "^" + text + "$"
}

func (n naive) values(key string) []string {
	for k, v := range n.r.Context {
		if strings.EqualFold(k, key) && len(v) > 0 {
			return v
		}
	}
	who := n.r.Principal
	if strings.EqualFold(key, "aws:username") && who.UserName != "" {
		return []string{who.UserName}
	}
	return nil
}

// texts reads a value that is one scalar or a list of them.
func texts(v any) (list []string) {
	switch v := v.(type) {
	case nil:
	case []any:
		for _, one := range v {
			list = append(list, texts(one)...)
		}
	default:
		list = append(list, fmt.Sprint(v))
	}
	return list
}

// A dice draws policies and requests over an alphabet so small that they often meet.
type dice struct{ *rand.Rand }

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

// some draws up to limit of the list, as one value or a list of values.
func some(d dice, least, limit int, list []string) any {
	values := []string{}
	for range least + d.IntN(limit-least+1) {
		values = append(values, pick(d, list...))
	}
	if len(values) == 1 && d.IntN(2) == 0 {
		return values[0]
	}
	return values
}

var (
	drawnActions   = []string{"*", "s3:*", "s3:GetObject", "S3:getobject", "s3:Get*", "s3:?utObject", "s3:*Bucket", "s3:*t"}
	drawnResources = []string{
		"*", "arn:aws:s3:::b", "arn:aws:s3:::b/*", "arn:aws:s3:::b/a", "arn:aws:s3:::b/?", "arn:aws:s3:::b/a*", "arn:aws:s3:::b/*a",
		"arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/${aws:username, 'a'}", "arn:aws:s3:::b/${*}", "arn:aws:s3:::b/${s3:k}*", "arn:aws:s3:::b/${$}a",
	}
	drawnPrincipals = []string{
		"*", "111122223333", "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:role/uploader",
		"arn:aws:sts::111122223333:assumed-role/uploader/i-0abc", "arn:aws:iam::999999999999:user/alice",
	}
	drawnKeys = []string{"s3:k", "S3:K", "s3:j", "aws:username"}

	// Values are of an operator's kind, so that it is compiled, and among the request's values are all kinds.
	drawnValues = map[string][]string{
		"String":    {"", "a", "A", "ab", "a*", "?", "*", "alice", "${aws:username}", "${s3:j, 'a'}", "${s3:j}b", "${*}"},
		"Numeric":   {"0", "1", "1.0", "2.5", "-1", "10"},
		"Date":      {"2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2027-01-01T00:00:00Z"},
		"Bool":      {"true", "false", "True"},
		"Null":      {"true", "false"},
		"Binary":    {"QQ==", "QUI=", ""},
		"IpAddress": {"10.0.0.0/8", "10.0.0.1", "2001:db8::/32", "0.0.0.0/0"},
		"Arn":       {"arn:aws:s:r:1:a", "arn:aws:s:*:1:*", "arn:*:*:*:*:a/?", "arn:aws:s:r:1:${aws:username}"},
	}
	drawnContext = []string{
		"", "a", "A", "ab", "*", "alice", "1", "2.5", "10", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "true", "false", "QUI=", "10.0.0.1", "2001:db8::1",
		"arn:aws:s:r:1:a", "arn:aws:s:r:1:alice", "arn:aws:s:r:1:1:a", "arn:aws:s",
	}
	drawnOperators = strings.Fields(`StringEquals StringNotEquals StringEqualsIgnoreCase StringNotEqualsIgnoreCase StringLike StringNotLike
		NumericEquals NumericNotEquals NumericLessThan NumericLessThanEquals NumericGreaterThan NumericGreaterThanEquals
		DateEquals DateNotEquals DateLessThan DateLessThanEquals DateGreaterThan DateGreaterThanEquals
		Bool Null BinaryEquals IpAddress NotIpAddress ArnEquals ArnLike ArnNotEquals ArnNotLike`)
)

func (d dice) statement() map[string]any {
	s := map[string]any{"Effect": pick(d, "Allow", "Deny")}
	who := any("*")
	if d.IntN(3) > 0 {
		who = map[string]any{"AWS": some(d, 1, 3, drawnPrincipals)}
		if d.IntN(4) == 0 {
			who.(map[string]any)["Service"] = pick(d, "logging.s3.amazonaws.com", "cloudfront.amazonaws.com")
		}
	}
	s[pick(d, "", "", "Not")+"Principal"] = who
	if s["NotPrincipal"] != nil {
		s["Effect"] = "Deny"
	}
	s[pick(d, "", "", "Not")+"Action"] = some(d, 1, 2, drawnActions)
	s[pick(d, "", "", "Not")+"Resource"] = some(d, 1, 2, drawnResources)
	if d.IntN(4) > 0 {
		s["Condition"] = d.conditions()
	}
	return s
}

func (d dice) conditions() map[string]any {
	conditions := map[string]any{}
	for range 1 + d.IntN(2) {
		op := pick(d, drawnOperators...)
		kind := ""
		for k := range drawnValues {
			if strings.HasPrefix(strings.TrimPrefix(op, "Not"), k) {
				kind = k
			}
		}
		if op != "Null" {
			op = pick(d, "", "", "ForAnyValue:", "ForAllValues:") + op + pick(d, "", "", "IfExists")
		}
		conditions[op] = map[string]any{pick(d, drawnKeys...): some(d, 0, 3, drawnValues[kind])}
	}
	return conditions
}

func (d dice) request() policy.Request {
	r := policy.Request{
		Action:   pick(d, "s3:GetObject", "s3:PutObject", "s3:ListBucket"),
		Resource: "arn:aws:s3:::b" + pick(d, "", "/a", "/ab", "/alice", "/*", "/$a", "/", "/ba"),
		Principal: pick(d, alice, bob, root, session, stranger, anonymous, delivery,
			policy.Principal{ARN: "arn:aws:sts::111122223333:assumed-role/uploader/other"}),
		Context: policy.Context{},
	}
	for _, key := range []string{"s3:k", "s3:j", "aws:username"} {
		values := make([]string, pick(d, 0, 1, 1, 1, 2))
		for i := range values {
			values[i] = pick(d, drawnContext...)
		}
		if key != "aws:username" || d.IntN(4) == 0 {
			r.Context.Set(key, values...)
		}
	}
	return r
}

func (d dice) document() string {
	doc := map[string]any{}
	if version := pick(d, "2012-10-17", "2012-10-17", "2008-10-17", ""); version != "" {
		doc["Version"] = version
	}
	statements := make([]map[string]any, 1+d.IntN(3))
	for i := range statements {
		statements[i] = d.statement()
	}
	doc["Statement"] = statements
	text, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// The package agrees with the naive evaluator, and Explain with Evaluate.
func TestEvaluateAgreesWithTheRules(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(1, 7))}
	const documents, requests = 2_000, 10
	seen := map[policy.Effect]int{}
	for range documents {
		text := d.document()
		doc, rules := parse(t, text), plainDocument{}
		if err := json.Unmarshal([]byte(text), &rules); err != nil {
			t.Fatal(err)
		}
		for range requests {
			r := d.request()
			got, want := doc.Evaluate(r), naive{r: r}.document(rules)
			seen[want]++
			if got.Effect != want {
				t.Fatalf("got %v, want %v\n%s\n%+v", got, want, text, r)
			}
			if trace := doc.Explain(r); trace.Decision != got {
				t.Fatalf("explained as %+v, evaluated as %+v\n%s\n%+v", trace, got, text, r)
			}
		}
	}
	for effect, n := range seen {
		if n < documents*requests/40 {
			t.Errorf("only %d of %d requests end in %v: the alphabet is too large", n, documents*requests, effect)
		}
	}
	if len(seen) != 3 {
		t.Errorf("seen %v", seen)
	}
}

package leakwatch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"s3gate/guard"
	"s3gate/guard/leakwatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is a line of an access log.
type request struct {
	id, bucket, key, auth, client, requester, agent, query, status, code, operation, at string
}

const (
	developer  = "arn:aws:iam::111122223333:user/dev"
	gateRole   = "arn:aws:iam::111122223333:role/path/s3gate"
	gateIs     = "arn:aws:sts::111122223333:assumed-role/s3gate/i-0123"
	gateAgent  = "s3gate/1.0 tok_abcdefghijklmnopqrstuvwxyz"
	signature  = "5ec7e7d0"
	gateToken  = "s3g_0aA1bB2cC3dD4eE5fF6gG7hH8iI9"
	credential = "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=" + signature
)

// day is yesterday: what is older than findings are kept is none.
var day = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)

// on is a time of that day, as access logs have it.
func on(clock string) string { return day.Format("02/Jan/2006") + ":" + clock + " +0000" }

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func (r request) String() string {
	uri := "GET /" + r.key
	if r.query != "" {
		uri += "?" + r.query
	}
	return fmt.Sprintf("79a59df900b949e5 %s [%s] %s %s %s %s %s \"%s HTTP/1.1\" %s %s 243 - 7 6 \"-\" \"%s\" - 9vKBE6vM= SigV4 ECDHE-RSA-AES128-GCM-SHA256 %s vault.s3.amazonaws.com TLSv1.2 - -\n",
		or(r.bucket, "vault"), or(r.at, on("10:00:38")), or(r.client, "192.0.2.3"), or(r.requester, developer), or(r.id, "3E57"),
		or(r.operation, "REST.GET.OBJECT"), or(r.key, "a"), uri, or(r.status, "403"), or(r.code, "AccessDenied"), or(r.agent, "curl/8.5"),
		or(r.auth, "AuthHeader"))
}

func lines(all ...request) io.Reader {
	var out strings.Builder
	for _, r := range all {
		out.WriteString(r.String())
	}
	return strings.NewReader(out.String())
}

func memory(t testing.TB) *leakwatch.Memory {
	t.Helper()
	m, err := leakwatch.OpenMemory("")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func findings(t testing.TB, s leakwatch.Store) []leakwatch.Finding {
	t.Helper()
	all, err := s.Findings(context.Background(), leakwatch.Query{Limit: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// brief is what the tests compare of findings.
func brief(all []leakwatch.Finding) (texts []string) {
	for _, f := range all {
		texts = append(texts, strings.TrimSpace(fmt.Sprintf("%s %s %s/%s ×%d %s", f.Kind, f.Outcome, f.Bucket, f.Key, f.Count, f.Signer)))
	}
	slices.Sort(texts)
	return texts
}

func read(t testing.TB, w *leakwatch.Watch, log string, in io.Reader) leakwatch.Summary {
	t.Helper()
	s, err := w.Read(context.Background(), log, in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFindings(t *testing.T) {
	const key = " AKIAIOSFODNN7EXAMPLE"
	presigned := request{auth: "QueryString", query: credential}
	with := func(change func(*request)) request { r := presigned; change(&r); return r }
	gate := map[string]leakwatch.Bucket{"vault": {Alias: "v", Principals: []string{developer + "2", gateRole}}}
	near := map[string]leakwatch.Bucket{"vault": {Alias: "v", Principals: gate["vault"].Principals, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}}}
	proven := map[string]leakwatch.Bucket{"vault": {Probes: []string{"there"}, Provers: []string{gateRole, "AKIAIOSFODNN7GATEWAY"}}}
	tests := []struct {
		name    string
		in      []request
		buckets map[string]leakwatch.Bucket
		want    []string
	}{
		{"header-signed requests are none", []request{{}, {status: "200", code: "-"}}, nil, nil},
		{"nobody's requests are none", []request{{auth: "-", requester: "-"}}, nil, nil},
		{"refused", []request{presigned}, nil, []string{"presigned refused vault/a ×1" + key}},
		{"let in", []request{with(func(r *request) { r.status, r.code = "200", "-" })}, nil, []string{"presigned allowed vault/a ×1" + key}},
		{"let in, and nothing there", []request{with(func(r *request) { r.status, r.code = "404", "NoSuchKey" })}, nil, []string{"presigned allowed vault/a ×1" + key}},
		{"the name of a signature in a value", []request{{auth: "AuthHeader", query: "a=X-Amz-Signature=", status: "200"}}, nil, nil},
		{"the name of a signature in another name", []request{{auth: "-", requester: "-", query: "xX-Amz-Signature=1", status: "200"}}, nil, nil},
		{"a question before a signed request", []request{{auth: "-", requester: "-", query: credential, status: "200", operation: "REST.OPTIONS.PREFLIGHT"}}, nil, nil},
		{"what nobody has signed gets nothing", []request{
			{auth: "-", requester: "-", query: credential, status: "200", key: "a"}, {auth: "-", requester: "-", query: credential, status: "404", key: "b"},
			{auth: "-", requester: "-", query: "X-Amz-Signature=x", status: "200", key: "c"}, {auth: "-", query: "X-Amz-Signature=x", status: "200", key: "d"},
		}, nil, []string{"presigned refused vault/a ×1" + key, "presigned refused vault/b ×1" + key, "presigned refused vault/c ×1", "presigned refused vault/d ×1"}},
		{"answers that give nothing", []request{
			with(func(r *request) { r.key, r.status = "a", "301" }), with(func(r *request) { r.key, r.status = "b", "307" }), with(func(r *request) { r.key, r.status = "c", "411" }),
			with(func(r *request) { r.key, r.status = "d", "429" }), with(func(r *request) { r.key, r.status = "e", "-" }),
		}, nil, []string{
			"presigned refused vault/a ×1" + key, "presigned refused vault/b ×1" + key, "presigned refused vault/c ×1" + key, "presigned refused vault/d ×1" + key,
			"presigned refused vault/e ×1" + key,
		}},
		{"answers that give something", []request{
			with(func(r *request) { r.key, r.status = "a", "206" }), with(func(r *request) { r.key, r.status = "b", "304" }),
			with(func(r *request) { r.key, r.status = "c", "412" }), with(func(r *request) { r.key, r.status = "d", "416" }),
		}, nil, []string{"presigned allowed vault/a ×1" + key, "presigned allowed vault/b ×1" + key, "presigned allowed vault/c ×1" + key, "presigned allowed vault/d ×1" + key}},
		{"failed", []request{with(func(r *request) { r.status, r.code = "503", "SlowDown" })}, nil, []string{"presigned refused vault/a ×1" + key}},
		{"a form", []request{{auth: "-", operation: "REST.POST.OBJECT", status: "204", code: "-"}}, nil, []string{"form allowed vault/a ×1"}},
		{"repeats from one network are one", []request{presigned, with(func(r *request) { r.client = "192.0.2.77" })}, nil, []string{"presigned refused vault/a ×2" + key}},
		{"other networks, outcomes, keys and hours are others", []request{
			presigned, with(func(r *request) { r.client = "192.0.3.3" }), with(func(r *request) { r.status = "200" }),
			with(func(r *request) { r.key = "b" }), with(func(r *request) { r.at = on("11:00:38") }),
			with(func(r *request) { r.query = strings.Replace(credential, "AKIA", "ASIA", 1) }),
		}, nil, []string{
			"presigned allowed vault/a ×1" + key, "presigned refused vault/a ×1" + key, "presigned refused vault/a ×1" + key,
			"presigned refused vault/a ×1" + key, "presigned refused vault/a ×1 ASIAIOSFODNN7EXAMPLE", "presigned refused vault/b ×1" + key,
		}},
		{"buckets have their aliases, and others are left out", []request{presigned, with(func(r *request) { r.bucket = "other" })},
			map[string]leakwatch.Bucket{"vault": {Alias: "v"}}, []string{"presigned refused v/a ×1" + key}},
		{"the gate's own", []request{
			with(func(r *request) { r.requester, r.agent, r.status = gateIs, gateAgent, "200" }),
			with(func(r *request) { r.requester, r.agent, r.status = gateRole, gateAgent, "200" }),
			with(func(r *request) {
				r.requester, r.agent, r.status, r.key = gateIs, "s3gate/1.0", "200", guard.CanaryPrefix+"X"
			}),
		}, gate, nil},
		{"reading an object is the gate's own only with the ID of a token", []request{
			with(func(r *request) { r.requester, r.agent, r.status = gateIs, "s3gate/1.0", "200" }),
			with(func(r *request) { r.requester, r.agent, r.status, r.key = gateIs, "s3gate/1.0 tok_x", "200", "b" }),
		}, gate, []string{"presigned allowed v/a ×1" + key, "presigned allowed v/b ×1" + key}},
		{"the gate's own comes from the gates' networks", []request{
			with(func(r *request) { r.requester, r.agent, r.status = gateIs, gateAgent, "200" }),
			with(func(r *request) {
				r.requester, r.agent, r.status, r.client, r.key = gateIs, gateAgent, "200", "192.0.2.16", "b"
			}),
		}, near, []string{"presigned allowed v/b ×1" + key}},
		{"who only says so is not the gate", []request{
			with(func(r *request) { r.agent = gateAgent }),
			with(func(r *request) { r.requester, r.key = gateIs, "b" }),
			with(func(r *request) {
				r.requester, r.agent, r.key = "arn:aws:sts::111122223333:assumed-role/s3gate2/i-0123", gateAgent, "c"
			}),
			with(func(r *request) {
				r.requester, r.agent, r.key, r.auth, r.query, r.operation = gateIs, gateAgent, "d", "-", "", "REST.POST.OBJECT"
			}),
		}, gate, []string{"form refused v/d ×1", "presigned refused v/a ×1" + key, "presigned refused v/b ×1" + key, "presigned refused v/c ×1" + key}},
		{"a gate that signs in headers has none", []request{with(func(r *request) { r.requester, r.agent = gateIs, gateAgent })},
			map[string]leakwatch.Bucket{"vault": {}}, []string{"presigned refused vault/a ×1" + key}},
		{"proofs of the lock", []request{
			with(func(r *request) { r.key = guard.CanaryPrefix + "X" }), with(func(r *request) { r.key = "private/" + guard.CanaryPrefix + "X-put" }),
		}, nil, nil},
		{"proofs of the lock by an object that is there", []request{
			with(func(r *request) { r.key, r.requester = "there", gateIs }),
			with(func(r *request) {
				r.key, r.query = "there", strings.Replace(credential, "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7GATEWAY", 1)
			}),
			with(func(r *request) { r.key, r.requester, r.status = "there", gateIs, "200" }),
			with(func(r *request) { r.key, r.requester = "there2", gateIs }),
		}, proven, []string{"presigned allowed vault/there ×1" + key, "presigned refused vault/there2 ×1" + key}},
		{"what others try there is no proof", []request{
			with(func(r *request) { r.key = "there" }),
			with(func(r *request) {
				r.key, r.requester, r.query = "there", "-", strings.Replace(credential, "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7GATEWAY", 1)
			}),
		}, proven, []string{"presigned refused vault/there ×1" + key, "presigned refused vault/there ×1 AKIAIOSFODNN7GATEWAY"}},
		{"a proof that there is no lock", []request{with(func(r *request) { r.key, r.status = guard.CanaryPrefix+"X", "200" })}, nil,
			[]string{"presigned allowed vault/" + guard.CanaryPrefix + "X ×1" + key}},
	}
	for _, test := range tests {
		store := memory(t)
		w := &leakwatch.Watch{Store: store, Buckets: test.buckets}
		read(t, w, "log", lines(test.in...))
		if got := brief(findings(t, store)); !slices.Equal(got, test.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", test.name, got, test.want)
		}
	}
}

func TestAFindingSaysWhoAndWhenAndHasNoSignature(t *testing.T) {
	store := memory(t)
	read(t, &leakwatch.Watch{Store: store}, "log", lines(
		request{id: "A", auth: "QueryString", query: credential, agent: "curl X-Amz-Signature=" + signature + " " + gateToken},
		request{id: "B", auth: "QueryString", query: credential, at: on("10:10:38")}))
	f := findings(t, store)[0]
	first := day.Add(10*time.Hour + 38*time.Second)
	if f.Request != "A" || f.Client != "192.0.2.3" || f.Network != "192.0.2.0/24" || f.Requester != developer || f.Method != "GET" ||
		f.Status != 403 || f.Code != "AccessDenied" || !f.First.Equal(first) || !f.Last.Equal(first.Add(10*time.Minute)) || f.Log != "log" || len(f.ID) != 31 {
		t.Errorf("%+v", f)
	}
	if text := fmt.Sprintf("%+v", f); strings.Contains(text, signature) || strings.Contains(text, gateToken) {
		t.Errorf("the signature, or a token, is in %s", text)
	}
}

// A log that comes again, or from another gate at the same time, counts once.
func TestLogsThatAreReadTwiceCountOnce(t *testing.T) {
	for name, store := range stores(t) {
		told := 0
		w := &leakwatch.Watch{Store: store, Act: func(context.Context, leakwatch.Finding) []leakwatch.Taken {
			told++
			return []leakwatch.Taken{{Action: leakwatch.Lock}}
		}}
		a, b := request{auth: "QueryString", query: credential}, request{auth: "QueryString", query: credential, client: "192.0.2.9"}
		for range 2 {
			read(t, w, "one", lines(a, b))
			read(t, w, "two", lines(a))
		}
		read(t, w, "one", lines(a, b))
		all := findings(t, store)
		if len(all) != 1 || all[0].Count != 3 || told != 1 || len(all[0].Taken) != 1 || all[0].Taken[0].Action != leakwatch.Lock {
			t.Errorf("%s: told %d times, %+v", name, told, all)
		}
	}
}

// failing is a store that cannot note that a finding was told: the gate died.
type failing struct{ leakwatch.Store }

func (failing) Told(context.Context, string, []leakwatch.Taken) error { return errors.New("died") }

func TestWhatWasNotNotedAsToldIsToldAgain(t *testing.T) {
	for name, store := range stores(t) {
		told := 0
		act := func(context.Context, leakwatch.Finding) []leakwatch.Taken { told++; return nil }
		in := func() io.Reader { return lines(request{auth: "QueryString", query: credential}) }
		if _, err := (&leakwatch.Watch{Store: failing{store}, Act: act}).Read(t.Context(), "log", in()); err == nil {
			t.Errorf("%s: no error", name)
		}
		read(t, &leakwatch.Watch{Store: store, Act: act}, "log", in())
		read(t, &leakwatch.Watch{Store: store, Act: act}, "log", in())
		if all := findings(t, store); told != 2 || len(all) != 1 || all[0].Count != 1 {
			t.Errorf("%s: told %d times, %+v", name, told, all)
		}
	}
}

func TestMalformedLinesAreKeptWithoutSignatures(t *testing.T) {
	store := memory(t)
	w := &leakwatch.Watch{Store: store}
	var text strings.Builder
	for range 50 {
		text.WriteString("garbage?X-Amz-Signature=" + signature + " https://links.example.com/" + gateToken + "\n")
	}
	s := read(t, w, "log", io.MultiReader(strings.NewReader(text.String()), lines(request{auth: "QueryString", query: credential})))
	kept := store.MalformedLines()
	if s.Lines != 51 || s.Malformed != 50 || s.Found != 1 || len(kept) == 0 || len(kept) > 10 || !strings.Contains(kept[0], "garbage") {
		t.Errorf("%+v, %q", s, kept)
	}
	if text := strings.Join(kept, ""); strings.Contains(text, signature) || strings.Contains(text, gateToken) {
		t.Errorf("a signature, or a token, is in %q", kept)
	}
}

func TestALogThatBreaksOffGivesWhatItHas(t *testing.T) {
	var text bytes.Buffer
	z := gzip.NewWriter(&text)
	for range 1000 {
		io.Copy(z, lines(request{auth: "QueryString", query: credential}))
	}
	z.Close()
	store := memory(t)
	s, err := (&leakwatch.Watch{Store: store}).Read(t.Context(), "log", bytes.NewReader(text.Bytes()[:text.Len()-9]))
	if !errors.Is(err, io.ErrUnexpectedEOF) || s.Found < 100 || len(findings(t, store)) != 1 {
		t.Errorf("%v, %+v", err, s)
	}
}

func TestOldRequestsAreLeftOut(t *testing.T) {
	store := memory(t)
	w := &leakwatch.Watch{Store: store, Since: day.Add(10*time.Hour + 30*time.Minute)}
	read(t, w, "log", lines(request{auth: "QueryString", query: credential}, request{auth: "QueryString", query: credential, at: on("10:30:00")}))
	if all := findings(t, store); len(all) != 1 || all[0].Count != 1 {
		t.Errorf("%+v", all)
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&leakwatch.Watch{Store: memory(t)}).Read(ctx, "log", lines(request{})); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestRulesChooseActions(t *testing.T) {
	rules := []leakwatch.Rule{
		{Kind: leakwatch.Presigned, Outcome: leakwatch.Allowed, Do: []leakwatch.Action{leakwatch.Lock, leakwatch.RevokeKey}},
		{Kind: leakwatch.Canary, Do: []leakwatch.Action{leakwatch.RevokeSubject}},
		{Outcome: leakwatch.Allowed, Do: []leakwatch.Action{leakwatch.RevokeToken, leakwatch.Lock}},
	}
	tests := []struct {
		kind    leakwatch.Kind
		outcome leakwatch.Outcome
		want    string
	}{
		{leakwatch.Presigned, leakwatch.Allowed, "[lock revoke_key]"},
		{leakwatch.Presigned, leakwatch.Refused, "[]"},
		{leakwatch.Canary, leakwatch.Refused, "[revoke_subject]"},
		{leakwatch.Shared, leakwatch.Allowed, "[revoke_token lock]"},
	}
	for _, test := range tests {
		if got := fmt.Sprint(leakwatch.Choose(rules, &leakwatch.Finding{Kind: test.kind, Outcome: test.outcome})); got != test.want {
			t.Errorf("%s %s: %s, want %s", test.kind, test.outcome, got, test.want)
		}
	}
	for _, wrong := range []leakwatch.Rule{
		{}, {Kind: "x", Do: rules[0].Do}, {Outcome: "x", Do: rules[0].Do}, {Do: []leakwatch.Action{"x"}},
		// These could only fail.
		{Kind: leakwatch.Presigned, Do: []leakwatch.Action{leakwatch.Lock, leakwatch.RevokeToken}},
		{Kind: leakwatch.Form, Do: []leakwatch.Action{leakwatch.RevokeSubject}},
		{Kind: leakwatch.Shared, Do: []leakwatch.Action{leakwatch.RevokeKey}},
		{Kind: leakwatch.Canary, Do: []leakwatch.Action{leakwatch.RevokeToken}},
		{Kind: leakwatch.Canary, Do: []leakwatch.Action{leakwatch.RevokeKey}},
	} {
		if wrong.Validate() == nil {
			t.Errorf("%+v is valid", wrong)
		}
	}
	for _, rule := range rules {
		if err := rule.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestNetworks(t *testing.T) {
	for client, want := range map[string]string{
		"192.0.2.3": "192.0.2.0/24", "::ffff:192.0.2.3": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48",
		"192.0.2.0/24": "192.0.2.0/24", "192.0.0.0/16": "192.0.0.0/16", "": "", "-": "", "s3.amazonaws.com": "",
	} {
		if got := leakwatch.NetworkOf(client); got != want {
			t.Errorf("%q: %q, want %q", client, got, want)
		}
	}
}

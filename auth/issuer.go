package auth

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Texts is one text or several; in YAML a single one needs no list.
type Texts []string

// Issuer is an identity provider and what its tokens are worth. It has one kind
// of keys: Secret, PublicKeys, JWKS or JWKSURL; with none of them its key set
// is found by OpenID Connect Discovery 1.0, below Issuer.
type Issuer struct {
	// Name is what logs and explanations call it. Default: its issuer.
	Name string `koanf:"name"`
	// Issuer is the iss of its JWTs, byte for byte. Required.
	Issuer string `koanf:"issuer"`
	// Algorithms are those that it signs with (RFC 7518, RFC 8037): HS256, HS384
	// or HS512 with a secret, else RS, PS or ES with 256, 384 or 512, or EdDSA.
	// Default: HS256 with a secret, else RS256.
	Algorithms Texts `koanf:"algorithms"`
	// Secret is a key for HS256, HS384 or HS512, at least as long as the hash:
	// 32, 48 or 64 bytes.
	Secret string `koanf:"secret" secret:"true"`
	// PreviousSecret is a secret that is still accepted.
	PreviousSecret string `koanf:"previous_secret" secret:"true"`
	// PublicKeys are PEM blocks: public keys or certificates.
	PublicKeys string `koanf:"public_keys"`
	// JWKS is a key set (RFC 7517).
	JWKS string `koanf:"jwks" secret:"true"` // somebody may put private ones there
	// JWKSURL is where a key set is: over https, or http of a loopback address.
	// Default: found by discovery.
	JWKSURL string `koanf:"jwks_url"`
	// Refresh is the age at which a key set is fetched again; 0 means the
	// default. Default 5m.
	Refresh time.Duration `koanf:"refresh"`
	// MaxStale is the age at which it is not used any more if that fails; 0
	// means the default. Default 1h.
	MaxStale time.Duration `koanf:"max_stale"`
	// Audience are texts of which aud must have one. Required, or client_ids.
	Audience Texts `koanf:"audience"`
	// ClientIDs are texts of which client_id must be one, as in tokens of Amazon
	// Cognito.
	ClientIDs Texts `koanf:"client_ids"`
	// TokenUse is what token_use must be, such as access. Default: any.
	TokenUse string `koanf:"token_use"`
	// Leeway is how far clocks may differ, at most 30s; 0 means the default.
	// Default 10s.
	Leeway time.Duration `koanf:"leeway"`
	// Rules are what claims are worth, in their order; see docs/auth.md. A JWT
	// to which none applies is worth nothing. Required.
	Rules []Rule `koanf:"rules"`
}

// What an Issuer has that says nothing else.
const (
	DefaultLeeway   = 10 * time.Second
	DefaultRefresh  = 5 * time.Minute
	DefaultMaxStale = time.Hour
)

// issuer checks the tokens of one issuer.
type issuer struct {
	name, issuer string
	algorithms   []string
	keys         keys
	proof        *jwt.Parser    // of the signature
	times        *jwt.Validator // exp, nbf and perhaps iat
	audience     []string
	clientIDs    []string
	tokenUse     string
	rules        []rule
	// roles says that there are no rules: the claim "s3gate" makes an
	// administrator.
	roles bool
}

// newOwn returns whoever has one of the configured HS256 keys.
func newOwn(cfg *Config) (*issuer, error) {
	i := &issuer{name: "api.jwt", issuer: cfg.Issuer, algorithms: []string{"HS256"}, roles: true}
	var set static
	for n, k := range cfg.Keys {
		if len(k) < MinKeyBytes {
			return nil, fmt.Errorf("auth: an HS256 key has %d bytes, at least %d are needed", len(k), MinKeyBytes)
		}
		set = append(set, candidate{fmt.Sprintf("HS256 key %d", n+1), k})
	}
	if cfg.Leeway < 0 || cfg.Leeway > MaxLeeway {
		return nil, fmt.Errorf("auth: leeway must be 0 to %s, got %s", MaxLeeway, cfg.Leeway)
	}
	if cfg.Audience != "" {
		i.audience = []string{cfg.Audience}
	}
	i.keys = set
	i.build(cfg, cfg.Leeway)
	return i, nil
}

func (i *issuer) build(cfg *Config, leeway time.Duration, more ...jwt.ParserOption) {
	i.proof = jwt.NewParser(jwt.WithValidMethods(i.algorithms), jwt.WithoutClaimsValidation(), jwt.WithJSONNumber())
	i.times = jwt.NewValidator(append(more, jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(cfg.Now))...)
}

// newIssuer checks what was configured. Errors begin with the name of the
// setting, below where.
func newIssuer(cfg *Config, c *Issuer, where string) (*issuer, error) {
	i := &issuer{
		name: cmp.Or(c.Name, c.Issuer), issuer: c.Issuer, algorithms: c.Algorithms,
		audience: c.Audience, clientIDs: c.ClientIDs, tokenUse: c.TokenUse,
	}
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s.%s: %s", where, field, fmt.Sprintf(format, args...)))
	}
	if c.Issuer == "" {
		bad("issuer", "is required: the iss of its tokens")
	}
	if len(c.Audience)+len(c.ClientIDs) == 0 {
		bad("audience", "is required, or client_ids: tokens for other applications would be taken")
	}
	if slices.Contains(c.Audience, "") || slices.Contains(c.ClientIDs, "") {
		bad("audience", "and client_ids must not hold an empty text")
	}
	if c.Leeway < 0 || c.Leeway > MaxLeeway {
		bad("leeway", "must be at most %s, got %s", MaxLeeway, c.Leeway)
	}
	if c.Refresh < 0 || c.MaxStale < 0 || cmp.Or(c.MaxStale, DefaultMaxStale) < cmp.Or(c.Refresh, DefaultRefresh) {
		bad("max_stale", "must be at least refresh, which is %s, got %s", cmp.Or(c.Refresh, DefaultRefresh), cmp.Or(c.MaxStale, DefaultMaxStale))
	}
	if len(i.algorithms) == 0 {
		i.algorithms = []string{"RS256"}
		if c.Secret != "" {
			i.algorithms = []string{"HS256"}
		}
	}
	i.keys = newKeys(cfg, c, i, bad)
	i.rules = newRules(c.Rules, bad)
	i.build(cfg, cmp.Or(c.Leeway, DefaultLeeway), jwt.WithIssuedAt())
	return i, errors.Join(errs...)
}

// fetchable checks an address that keys are fetched from: whoever can change
// what comes from there makes administrators.
func fetchable(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("must be a URL such as https://id.example.com/jwks.json")
	}
	addr, _ := netip.ParseAddr(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && !addr.IsLoopback()) {
		return errors.New("must begin with https://")
	}
	return nil
}

// checkClaims holds the claims of a token whose signature is proven against
// what is expected of them.
func (i *issuer) checkClaims(ex *Explanation, c jwt.MapClaims) {
	if err := i.times.Validate(c); err != nil {
		ex.fail("times", timeReason(err))
	} else {
		ex.pass("times", "exp, nbf and iat are in order")
	}
	if i.issuer != "" {
		iss, _ := c["iss"].(string)
		ex.check("iss", iss == i.issuer, jwt.ErrTokenInvalidIssuer.Error())
	}
	if len(i.audience) > 0 {
		aud, err := c.GetAudience()
		ex.check("aud", err == nil && intersect(aud, i.audience), jwt.ErrTokenInvalidAudience.Error())
	}
	if len(i.clientIDs) > 0 {
		id, _ := c["client_id"].(string)
		ex.check("client_id", slices.Contains(i.clientIDs, id), "token is of another client_id")
	}
	if i.tokenUse != "" {
		use, _ := c["token_use"].(string)
		ex.check("token_use", use == i.tokenUse, "token is not for use as "+i.tokenUse)
	}
	for _, name := range []string{"iss", "sub"} {
		if v, there := c[name]; there {
			_, isText := v.(string)
			ex.check(name+" is a text", isText, "claim "+name+" is not a string")
		}
	}
	if i.roles {
		_, err := roles(c)
		ex.check("s3gate", err == nil, "claim s3gate is neither a string nor a list of strings")
	}
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// timeReason names what is wrong in fixed words: the library's own texts may
// quote the token.
func timeReason(err error) string {
	for _, known := range []error{
		jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenRequiredClaimMissing,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "token has a time that cannot be read"
}

// caller is who a token proves that has passed every check.
func (i *issuer) caller(c jwt.MapClaims, ex *Explanation) Caller {
	caller := Caller{}
	caller.Issuer, _ = c["iss"].(string)
	caller.Subject, _ = c["sub"].(string)
	if i.roles {
		all, _ := roles(c)
		caller.Admin = slices.Contains(all, roleAdmin)
		return caller
	}
	caller.Rights = &Rights{}
	for _, o := range ex.Rules {
		if !o.Applies {
			continue
		}
		caller.Admin = caller.Admin || o.Allow.Admin
		caller.Rights.Allowances = append(caller.Rights.Allowances, Allowance{Rule: o.Rule, Allow: *o.Allow})
	}
	return caller
}

var errRoles = errors.New("neither a string nor a list of strings")

// roles reads the claim "s3gate".
func roles(c jwt.MapClaims) ([]string, error) {
	switch v := c["s3gate"].(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		var all []string
		for _, e := range v {
			text, ok := e.(string)
			if !ok {
				return nil, errRoles
			}
			all = append(all, text)
		}
		return all, nil
	}
	return nil, errRoles
}

// clip shortens what a token says of itself.
func clip(text string) string {
	const most = 64
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

package main

import (
	"net/url"
	"strings"
)

// link is one to upload through: a secret.
type link struct {
	url   *url.URL
	token string // "" if it has none that one can tell
	base  string // the escaped path to the end of the token
}

// parseLink reads a link. What is not one of a gate is taken as it is.
func parseLink(text string) (link, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return link{}, usagef("not a link")
	}
	l := link{url: u, base: u.EscapedPath()}
	if at := tokenForm.FindStringIndex(l.base); at != nil && (at[1] == len(l.base) || l.base[at[1]] == '/') {
		l.token, l.base = l.base[at[0]:at[1]], l.base[:at[1]]
	}
	return l, nil
}

// name returns the file name at the end of the link, "" if there is none.
func (l link) name() string {
	if l.token == "" {
		return ""
	}
	name, err := url.PathUnescape(strings.TrimPrefix(l.url.EscapedPath()[len(l.base):], "/"))
	if err != nil {
		return ""
	}
	return name
}

// named returns the link with a file name at its end, unless it has one.
func (l link) named(name string) string {
	if name == "" || l.token == "" || l.name() != "" {
		return l.url.String()
	}
	return l.with(l.base+"/"+url.PathEscape(name), l.url.RawQuery)
}

// upload returns the address of an upload that was begun through the link.
func (l link) upload(name string) string {
	return l.with(l.base, url.Values{"upload": {name}}.Encode())
}

func (l link) with(path, query string) string {
	u := *l.url
	u.RawPath, u.RawQuery, u.Fragment = path, query, ""
	u.Path, _ = url.PathUnescape(path) // it has been through url.Parse
	return u.String()
}

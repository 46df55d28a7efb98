// DNSTypes: the records of the domain name system that mail asks for, out of their wire form.
//
// What it is: readers of RDATA as `Outside.DNSAnswer` gives it (uncompressed, one record each), and domain names between their
// wire form and their presentation form.
//
// What it promises: every reader is total: any octets give a record or nil, in time linear in their number. A name that is
// given is at most 255 octets on the wire, each label at most 63 (RFC 1035, 3.1), in lower case.
//
// How it fails: with nil. A record that can't be read is as good as none; whoever asked counts it as such.
//
// RFCs: RFC 1035, 3.3 (MX, CNAME, PTR, NS, TXT, A), RFC 3596, 2.2 (AAAA), RFC 2782 (SRV), RFC 6698, 2.1 (TLSA), RFC 7505 (null MX).

// DNSTypes

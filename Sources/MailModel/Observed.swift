// What the observer makes of a message is part of the model: it is stored, queued and shown.
@_exported import struct InternetMessage.BodyCensus
@_exported import struct InternetMessage.MessageSummary

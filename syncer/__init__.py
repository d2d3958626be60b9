"""Records the history of MegaFon cloud PBX virtual numbers in PostgreSQL.

The vendor's endpoint returns the phone numbers a company has at this moment, and nothing about the past. `syncer.poll`
is the data path of one poll: `syncer.endpoint` fetches the response, `syncer.diff` compares it with what is stored, and
`syncer.store` writes current rows and history in one transaction. `syncer.daemon` polls every account on schedule.
"""

__version__ = "0.2.0"

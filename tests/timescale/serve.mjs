// A PostgreSQL with TimescaleDB in this process, for one connection at a time. Argument: the port on loopback. Prints the
// version of the extension once it answers.
import { PGlite } from '@electric-sql/pglite'
import { timescaledb } from '@electric-sql/pglite/timescaledb'
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'

const db = await PGlite.create({ extensions: { timescaledb } })
await db.exec('CREATE EXTENSION timescaledb')
const found = await db.query("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
await new PGLiteSocketServer({ db, host: '127.0.0.1', port: Number(process.argv[2]) }).start()
console.log(found.rows[0].extversion)

// DuckDB reads the file as a table and counts by url and model. It is no validator (it takes trailing commas and NaN)
// and writes nothing.
import { DuckDBInstance } from '@duckdb/node-api';

const [input, threads] = process.argv.slice(2);
const instance = await DuckDBInstance.create(':memory:', { threads });
const connection = await instance.connect();
const columns = "{custom_id: 'VARCHAR', method: 'VARCHAR', url: 'VARCHAR', body: 'JSON'}";
const result = await connection.runAndReadAll(
  `SELECT method, url, body->>'$.model' AS model, count(*), count(DISTINCT custom_id)
   FROM read_json('${input.replaceAll("'", "''")}', format = 'newline_delimited', columns = ${columns}, maximum_object_size = 33554432)
   GROUP BY ALL`,
);
let lines = 0;
for (const [, , , count, ids] of result.getRows()) {
  if (count !== ids) throw new Error(`${count - ids} duplicate ids`);
  lines += Number(count);
}
console.log(JSON.stringify({ lines }));

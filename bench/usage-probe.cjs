// Loaded into each Node process that is measured: at its end, writes down what it has used.
const { readFileSync, writeFileSync } = require('node:fs');

process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  // On Linux maxRSS also counts the process that forked this one; VmHWM does not.
  let peakRssKb = maxRSS;
  try {
    peakRssKb = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? maxRSS);
  } catch {}
  writeFileSync(
    process.env.BENCH_USAGE_FILE,
    JSON.stringify({ cpuMs: (userCPUTime + systemCPUTime) / 1000, peakRssKb }),
  );
});

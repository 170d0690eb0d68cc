/** Completion scripts, made of the program's own commands and options. Pure. */
import type { Command, Option } from 'commander';

/** Shells that there is a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What may follow the words of one command. */
interface Node {
  /** The words that lead here, without the program: `local up`; `''` is the program. */
  path: string;
  commands: { name: string; description: string }[];
  options: { flag: string; description: string; choices: readonly string[]; takesValue: boolean }[];
}

/** The program and all commands below it, each with what may follow it. */
export function nodesOf(command: Command, path: readonly string[] = []): Node[] {
  const below = command.commands;
  const options = command.createHelp().visibleOptions(command);
  const node: Node = {
    path: path.join(' '),
    commands: below.map((each) => ({ name: each.name(), description: firstClause(each.description()) })),
    options: options.flatMap((option) => flagsOf(option)),
  };
  return [node, ...below.flatMap((each) => nodesOf(each, [...path, each.name()]))];
}

function flagsOf(option: Option): Node['options'] {
  const { long, description, argChoices = [], required, optional } = option;
  if (!long) return [];
  const takesValue = required || optional;
  return [{ flag: long, description: firstClause(description), choices: argChoices, takesValue }];
}

/** What a list of proposals has room for. */
function firstClause(text: string): string {
  return text.split(/[;:(]/)[0]!.trim();
}

/** The script of a shell. */
export function completionScript(program: Command, shell: Shell): string {
  const nodes = nodesOf(program);
  const name = program.name();
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](name, nodes);
}

/** Quoted for all three shells: none of our texts needs more than this. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** `path` becomes the commands that were typed so far, `words` what may follow them. */
function bashScript(name: string, nodes: readonly Node[]): string {
  const cases = nodes.map(({ path, commands, options }) => {
    const words = [...commands.map((each) => each.name), ...options.map(({ flag }) => flag)].join(' ');
    return `    ${quoted(path)}) words=${quoted(words)} ;;`;
  });
  const values = nodes.flatMap(({ path, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map(
        ({ flag, choices }) =>
          `    ${quoted(`${path} ${flag}`.trim())}) values=${quoted(choices.join(' '))} ;;`,
      ),
  );
  const paths = nodes.map(({ path }) => quoted(path)).join(' ');
  return `# bash completion of ${name}: ${name} completion bash > /etc/bash_completion.d/${name}
_${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path='' words='' values='-' known next i
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="\${path:+$path }\${COMP_WORDS[i]}"
    for known in ${paths}; do
      if [[ "$known" == "$next" ]]; then path="$next"; fi
    done
  done
  case "\${path:+$path }$previous" in
${values.join('\n')}
  esac
  if [[ "$values" != '-' ]]; then
    if [[ -n "$values" ]]; then COMPREPLY=($(compgen -W "$values" -- "$current")); else COMPREPLY=($(compgen -f -- "$current")); fi
    return
  fi
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ \${#COMPREPLY[@]} -eq 0 ]]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _${name} ${name}
`;
}

function zshScript(name: string, nodes: readonly Node[]): string {
  const described = (word: string, description: string): string =>
    quoted(`${word.replaceAll(':', '\\:')}:${description}`);
  const cases = nodes.map(({ path, commands, options }) => {
    const words = [
      ...commands.map((each) => described(each.name, each.description)),
      ...options.map(({ flag, description }) => described(flag, description)),
    ];
    return `    ${quoted(path)}) proposals=(${words.join(' ')}) ;;`;
  });
  return `#compdef ${name}
# zsh completion of ${name}: ${name} completion zsh > a file _${name} in a folder of $fpath
_${name}() {
  local where='' next i
  local -a proposals paths
  paths=(${nodes.map(({ path }) => quoted(path)).join(' ')})
  for ((i = 2; i < CURRENT; i++)); do
    next="\${where:+$where }\${words[i]}"
    if (( \${paths[(Ie)$next]} )); then where="$next"; fi
  done
  case "$where" in
${cases.join('\n')}
  esac
  _describe ${quoted(name)} proposals
  _files
}
compdef _${name} ${name}
`;
}

function fishScript(name: string, nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ path, commands, options }) => {
    const seen = path.split(' ').filter((word) => word !== '');
    const others = commands.map((each) => each.name).join(' ');
    const ofPath = seen.map((word) => `__fish_seen_subcommand_from ${word}`);
    const here = seen.length === 0 ? ['__fish_use_subcommand'] : ofPath;
    const notYet =
      commands.length > 0 && seen.length > 0 ? [`not __fish_seen_subcommand_from ${others}`] : [];
    const condition = (parts: readonly string[]): string => quoted(parts.join('; and '));
    return [
      ...commands.map(
        (each) =>
          `complete -c ${name} -n ${condition([...here, ...notYet])} -a ${each.name} -d ${quoted(each.description)}`,
      ),
      ...options.map(({ flag, description, choices, takesValue }) => {
        const value = takesValue ? ' -r' : '';
        const proposed = choices.length === 0 ? '' : ` -f -a ${quoted(choices.join(' '))}`;
        return `complete -c ${name} -n ${condition(here)} -l ${flag.slice(2)}${value}${proposed} -d ${quoted(description)}`;
      }),
    ];
  });
  return `# fish completion of ${name}: ${name} completion fish > ~/.config/fish/completions/${name}.fish\n${lines.join('\n')}\n`;
}

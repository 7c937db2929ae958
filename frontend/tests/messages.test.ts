import { describe, expect, it } from 'vitest'
import { en } from '../src/i18n/en'
import { zh } from '../src/i18n/zh-CN'

type Tree = { [key: string]: string | Tree }

function leaves(tree: Tree, path = ''): [path: string, text: string][] {
  return Object.entries(tree).flatMap(([key, value]) =>
    typeof value === 'string' ? [[`${path}${key}`, value] as [string, string]] : leaves(value, `${path}${key}.`),
  )
}

function placeholders(text: string): string[] {
  return [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '').sort()
}

describe('messages', () => {
  const chinese = new Map(leaves(zh as unknown as Tree))
  const english = new Map(leaves(en as unknown as Tree))

  it('are complete in both languages', () => {
    expect([...english.keys()]).toEqual([...chinese.keys()])
    expect([...chinese.values(), ...english.values()].filter((text) => text.trim() === '')).toEqual([])
  })

  it('ask for the same values in both languages', () => {
    for (const [path, text] of chinese) expect([path, placeholders(english.get(path) ?? '')]).toEqual([path, placeholders(text)])
  })

  it('contain no Chinese in English, except the name of the other language', () => {
    const mixed = [...english].filter(([path, text]) => path !== 'language' && /[\u4e00-\u9fff]/.test(text))
    expect(mixed).toEqual([])
  })
})

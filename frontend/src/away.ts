/** Counties of which nothing is heard, as long as a part of a page is shown. */
import { computed } from 'vue'
import { api } from './api'
import { useFresh } from './fresh'
import { linksAway } from './link'
import { live } from './live'

/** The links that are not there, asked for at once, after news, and now and then. */
export function useLinksAway() {
  const { answer } = useFresh(() => 'links', api.links, [live.shelves.link])
  return computed(() => linksAway(answer.value ?? [], live.shelves.link.value))
}

import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

/** Where the development server finds the product: `COMMAND_CENTER_URL=http://127.0.0.1:PORT npm run dev`. */
const product = process.env.COMMAND_CENTER_URL ?? 'http://127.0.0.1:8000'

export default defineConfig({
  plugins: [vue()],
  build: {
    target: 'es2022',
    // The map engine and the one full Chinese face are each near 1 MB by nature, and loaded only where they are used.
    chunkSizeWarningLimit: 1200,
  },
  server: {
    proxy: {
      '/api': product,
      '/tiles': product,
      '/socket.io': { target: product, ws: true },
    },
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
})

/* SPDX-License-Identifier: Apache-2.0 */
/* One wrapper per PTX instruction of sm_90a that the kernels use. Addresses of shared memory are 32-bit. */
#ifndef FKMI_CUDA_PTX_CUH
#define FKMI_CUDA_PTX_CUH

#include <stdint.h>

/* What cuTensorMapEncodeTiled fills; a kernel takes it as a const __grid_constant__ parameter. */
struct alignas(64) tensor_map {
	uint64_t opaque[16];
};

static __device__ __forceinline__ uint32_t shared_address(const void *p)
{
	return (uint32_t)__cvta_generic_to_shared(p);
}

/* threadIdx.x and gridDim.x, read anew: for use between stretches of code that need every register. */
static __device__ __forceinline__ uint32_t thread_index(void)
{
	uint32_t index;
	asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
	return index;
}

static __device__ __forceinline__ uint32_t block_count(void)
{
	uint32_t count;
	asm volatile("mov.u32 %0, %%nctaid.x;" : "=r"(count));
	return count;
}

/* ---- mbarriers ---- */

static __device__ __forceinline__ void mbarrier_init(uint32_t barrier, uint32_t count)
{
	asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}

static __device__ __forceinline__ void mbarrier_init_fence(void)
{
	asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

static __device__ __forceinline__ void mbarrier_arrive(uint32_t barrier)
{
	asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

/* Has the phase wait for so many more bytes of bulk copies. */
static __device__ __forceinline__ void mbarrier_expect(uint32_t barrier, uint32_t bytes)
{
	asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

/* Arrives, and the same. */
static __device__ __forceinline__ void mbarrier_arrive_expect(uint32_t barrier, uint32_t bytes)
{
	asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

/* The loop is inside one statement: written around it, it costs registers and serialises wgmma. */
static __device__ __forceinline__ void mbarrier_wait(uint32_t barrier, uint32_t parity)
{
	asm volatile("{\n"
				 ".reg .pred done;\n"
				 "again:\n"
				 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
				 "@!done bra again;\n}" ::"r"(barrier),
				 "r"(parity)
				 : "memory");
}

static __device__ __forceinline__ void named_barrier_sync(int id, int threads)
{
	asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

static __device__ __forceinline__ void named_barrier_arrive(int id, int threads)
{
	asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/* Orders this thread's accesses to shared memory before later ones of the copy engine and the tensor cores. */
static __device__ __forceinline__ void async_proxy_fence(void)
{
	asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* ---- copies ---- */

/* A box of a stack of matrices; beyond their edges come zeros. */
static __device__ __forceinline__ void copy_box(uint32_t to, const struct tensor_map *map, uint32_t barrier, int column,
												int row, int matrix)
{
	asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
				 "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(to),
				 "l"(map), "r"(barrier), "r"(column), "r"(row), "r"(matrix)
				 : "memory");
}

static __device__ __forceinline__ void prefetch_map(const struct tensor_map *map)
{
	asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/* bytes, from and to are multiples of 16. */
static __device__ __forceinline__ void copy_bytes(uint32_t to, const void *from, uint32_t bytes, uint32_t barrier)
{
	asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
				 "l"(from), "r"(bytes), "r"(barrier)
				 : "memory");
}

/* Brings the line of an address near. */
static __device__ __forceinline__ void prefetch(const void *at)
{
	asm volatile("prefetch.global.L1 [%0];" ::"l"(at) : "memory");
}

/* 16 bytes of which the first `bytes` are copied, the others zero. */
static __device__ __forceinline__ void copy16(uint32_t to, const void *from, uint32_t bytes)
{
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

/* Until this thread's copies of 16 bytes are there. */
static __device__ __forceinline__ void copy16_wait(void)
{
	asm volatile("cp.async.wait_all;" ::: "memory");
}

/* Arrives once this thread's copies of 16 bytes are there. */
static __device__ __forceinline__ void copy16_arrive(uint32_t barrier)
{
	asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

/* ---- kernels that overlap (overlap of struct fkmi_cuda_launch) ---- */

/* Until the kernel before this one has ended, and its stores are there. */
static __device__ __forceinline__ void grid_wait(void)
{
	asm volatile("griddepcontrol.wait;" ::: "memory");
}

/* The kernel behind this one may start, and wait. */
static __device__ __forceinline__ void grid_release(void)
{
	asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

/* ---- shared memory ---- */

static __device__ __forceinline__ uint32_t shared_load1(uint32_t at)
{
	uint32_t v;
	asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static __device__ __forceinline__ float2 shared_load2(uint32_t at)
{
	float2 v;
	asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(at));
	return v;
}

static __device__ __forceinline__ float4 shared_load4(uint32_t at)
{
	float4 v;
	asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
				 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
				 : "r"(at)
				 : "memory");
	return v;
}

static __device__ __forceinline__ void shared_store1(uint32_t at, uint32_t v)
{
	asm volatile("st.shared.u32 [%0], %1;" ::"r"(at), "r"(v) : "memory");
}

static __device__ __forceinline__ void shared_store2(uint32_t at, int x, int y)
{
	asm volatile("st.shared.v2.u32 [%0], {%1, %2};" ::"r"(at), "r"(x), "r"(y) : "memory");
}

static __device__ __forceinline__ void shared_store4(uint32_t at, const float4 &v)
{
	asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(at), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w)
				 : "memory");
}

/* at is a multiple of 8. */
static __device__ __forceinline__ void shared_store3(uint32_t at, float x, float y, float z)
{
	asm volatile("st.shared.v2.f32 [%0], {%1, %2};\n"
				 "st.shared.f32 [%0 + 8], %3;" ::"r"(at),
				 "f"(x), "f"(y), "f"(z)
				 : "memory");
}

static __device__ __forceinline__ void shared_store_u16(uint32_t at, uint32_t v)
{
	asm volatile("st.shared.u16 [%0], %1;" ::"r"(at), "h"((uint16_t)v) : "memory");
}

static __device__ __forceinline__ uint32_t shared_load_u16(uint32_t at)
{
	uint16_t v;
	asm volatile("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(at) : "memory");
	return v;
}

/* Four 8 x 8 matrices of 16-bit elements; each lane gives the address of a row of 16 bytes. */
static __device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t at)
{
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
				 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
				 : "r"(at)
				 : "memory");
}

/* ---- numbers ---- */

static __device__ __forceinline__ float2 halves_to_floats(uint32_t halves)
{
	float2 v;
	asm("{\n.reg .b16 low, high;\n"
		"mov.b32 {low, high}, %2;\n"
		"cvt.f32.f16 %0, low;\n"
		"cvt.f32.f16 %1, high;\n}"
		: "=f"(v.x), "=f"(v.y)
		: "r"(halves));
	return v;
}

static __device__ __forceinline__ uint32_t floats_to_halves(float low, float high)
{
	uint32_t halves;
	asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(halves) : "f"(high), "f"(low));
	return halves;
}

/* A pair of bf16, times a power of two, as f16. */
static __device__ __forceinline__ uint32_t scale_pair(uint32_t pair, float scale)
{
	return floats_to_halves(__uint_as_float(pair << 16) * scale, __uint_as_float(pair & 0xffff0000u) * scale);
}

static __device__ __forceinline__ float sqrt_approximate(float v)
{
	float root;
	asm("sqrt.approx.f32 %0, %1;" : "=f"(root) : "f"(v));
	return root;
}

/* ---- registers and warpgroups ---- */

template <int COUNT> static __device__ __forceinline__ void registers_decrease(void)
{
	asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

template <int COUNT> static __device__ __forceinline__ void registers_increase(void)
{
	asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}

static __device__ __forceinline__ void wgmma_fence(void)
{
	asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

static __device__ __forceinline__ void wgmma_commit(void)
{
	asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int PENDING> static __device__ __forceinline__ void wgmma_wait(void)
{
	asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

/* No instruction: keeps the compiler from moving uses of the registers across. */
template <int COUNT> static __device__ __forceinline__ void hold(float (&d)[COUNT])
{
#pragma unroll
	for (int i = 0; i < COUNT; i++)
		asm volatile("" : "+f"(d[i])::"memory");
}

/* The low word of the descriptor of a matrix of rows of 128 bytes, as the copy engine writes it with the 128-byte
 * swizzle; at is a multiple of 1024. Further 16-byte units along a row may be added to it. */
static __device__ __forceinline__ uint32_t matrix_descriptor(uint32_t at)
{
	return (at >> 4 & 0x3FFF) | 1u << 16;
}

static constexpr int DESCRIPTOR_HIGH = 1024 >> 4 | 1 << 30; /* eight rows are 1024 bytes; 128-byte swizzle */

/* d -= a b for 64 rows, 112 columns and 16 dimensions, f16 with f32 sums: a in registers, b by its descriptor's
 * low word. */
static __device__ __forceinline__ void wgmma_subtract(float (&d)[56], const uint32_t (&a)[4], uint32_t b)
{
	asm volatile("{\n"
				 ".reg .pred adds;\n"
				 ".reg .b64 matrix;\n"
				 "setp.eq.u32 adds, 0, 0;\n"
				 "mov.b64 matrix, {%60, %61};\n"
				 "wgmma.mma_async.sync.aligned.m64n112k16.f32.f16.f16 {"
				 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
				 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
				 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
				 "%48, %49, %50, %51, %52, %53, %54, %55"
				 "}, {%56, %57, %58, %59}, matrix, adds, -1, 1, 0;\n}"
				 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
				   "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
				   "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]),
				   "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]),
				   "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]),
				   "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]),
				   "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]),
				   "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55])
				 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "n"(DESCRIPTOR_HIGH));
}

/* d -= a b for 64 rows, 128 columns and 16 dimensions, f16 with f32 sums: a in registers, b by its descriptor's
 * low word. */
static __device__ __forceinline__ void wgmma_subtract(float (&d)[64], const uint32_t (&a)[4], uint32_t b)
{
	asm volatile("{\n"
				 ".reg .pred adds;\n"
				 ".reg .b64 matrix;\n"
				 "setp.eq.u32 adds, 0, 0;\n"
				 "mov.b64 matrix, {%68, %69};\n"
				 "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
				 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
				 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
				 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
				 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
				 "}, {%64, %65, %66, %67}, matrix, adds, -1, 1, 0;\n}"
				 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
				   "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
				   "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]),
				   "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]),
				   "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]),
				   "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]),
				   "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]),
				   "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]),
				   "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
				 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "n"(DESCRIPTOR_HIGH));
}

/* d -= a b for 64 rows, 256 columns and 16 dimensions, f16 with f32 sums: a in registers, b by its descriptor's
 * low word. */
static __device__ __forceinline__ void wgmma_subtract(float (&d)[128], const uint32_t (&a)[4], uint32_t b)
{
	asm volatile("{\n"
				 ".reg .pred adds;\n"
				 ".reg .b64 matrix;\n"
				 "setp.eq.u32 adds, 0, 0;\n"
				 "mov.b64 matrix, {%132, %133};\n"
				 "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 {"
				 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
				 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
				 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
				 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
				 "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
				 "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
				 "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
				 "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
				 "}, {%128, %129, %130, %131}, matrix, adds, -1, 1, 0;\n}"
				 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
				   "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
				   "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]),
				   "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]),
				   "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]),
				   "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]),
				   "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]), "+f"(d[50]),
				   "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]),
				   "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]), "+f"(d[64]),
				   "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71]),
				   "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), "+f"(d[77]), "+f"(d[78]),
				   "+f"(d[79]), "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]), "+f"(d[85]),
				   "+f"(d[86]), "+f"(d[87]), "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91]), "+f"(d[92]),
				   "+f"(d[93]), "+f"(d[94]), "+f"(d[95]), "+f"(d[96]), "+f"(d[97]), "+f"(d[98]), "+f"(d[99]),
				   "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103]), "+f"(d[104]), "+f"(d[105]), "+f"(d[106]),
				   "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111]), "+f"(d[112]), "+f"(d[113]),
				   "+f"(d[114]), "+f"(d[115]), "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119]), "+f"(d[120]),
				   "+f"(d[121]), "+f"(d[122]), "+f"(d[123]), "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127])
				 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "n"(DESCRIPTOR_HIGH));
}

#endif
